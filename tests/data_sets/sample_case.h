#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "data/sample.h"
#include "data_sets/row_json.h"

namespace multimeditron::testing {

inline const std::filesystem::path kCase = std::filesystem::path(TEST_DATA) / "case_qwen3_clip";
inline const char* const kToken = "<|reserved_special_token_0|>";

/// What the model of the worked example brings: tokenizer, prompt options, processor.
struct Parts {
  Tokenizer tokenizer = Tokenizer::load(kCase / "llm/qwen3");
  PromptOptions prompt;
  ImageProcessor processor = ImageProcessor::load(kCase / "vision/clip");
  Parts() {
    prompt.attachment_token = kToken;
    prompt.attachment_token_id = tokenizer.add_special_token(kToken);
    prompt.embeddings_per_image = 9;
    prompt.chat_format = find_chat_format(tokenizer, TokenizerType::kQwen3, prompt.label_mask, "");
  }
  SampleBuilder builder(const Dataset& dataset, const std::string& loader_type = "raw-image",
                        const std::filesystem::path& base = {}) const {
    return SampleBuilder(dataset, tokenizer, prompt, {{.loader_type = loader_type, .base_path = base.string()}}, processor);
  }
};

inline const Parts& parts() {
  static const Parts parts;
  return parts;
}

/// Rows held in memory.
class Rows : public Dataset {
 public:
  explicit Rows(std::vector<Row> rows) : rows_(std::move(rows)) {}
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  Row row(int64_t index) const override { return rows_[static_cast<size_t>(index)]; }
  std::string fingerprint() const override { return ""; }
  std::string place(int64_t index) const override { return fmt::format("rows, row {}", index); }

 private:
  std::vector<Row> rows_;
};

inline Row conversation(const std::string& question, std::vector<Attachment> modalities = {}) {
  return {.text = {}, .conversations = {{"user", question}, {"assistant", "answer"}}, .modalities = std::move(modalities)};
}

inline Attachment image(const char* name = "000.png") {
  return {.type = "image", .bytes = read_file(kCase / "data/jsonl/images" / name), .path = ""};
}

/// A row that fails: one image, no token.
inline Row bad_row() {
  return conversation("no token", {image()});
}

}  // namespace multimeditron::testing
