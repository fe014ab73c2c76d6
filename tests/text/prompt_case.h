#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "text/prompt.h"

namespace multimeditron::testing {

using Ids = std::vector<int64_t>;

inline const std::filesystem::path kTextData = std::filesystem::path(TEST_DATA) / "text";
inline const std::string kImage = "<|reserved_special_token_0|>";
/// The small tokenizers; those that have role delimiters of a declared type, and those that only `auto` knows.
inline const std::vector<std::string> kDeclaredKinds{"qwen3", "llama", "apertus", "apertus_old"};
inline const std::vector<std::string> kAllKinds{"qwen3", "llama", "apertus", "apertus_old", "gemma", "mistral", "phi", "deepseek"};

inline std::vector<Json> read_lines(const std::filesystem::path& file) {
  std::vector<Json> lines;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

inline std::vector<Message> messages_of(const Json& list) {
  std::vector<Message> messages;
  for (const Json& message : list) messages.push_back({message["role"].get<std::string>(), message["content"].get<std::string>()});
  return messages;
}

inline TokenizerType type_of(const std::string& kind) {
  if (kind == "qwen3") return TokenizerType::kQwen3;
  if (kind == "llama") return TokenizerType::kLlama;
  if (kind.starts_with("apertus")) return TokenizerType::kApertus;
  return TokenizerType::kAuto;
}

/// A tokenizer with the attachment token, and options that fit it.
struct Prompt {
  explicit Prompt(const std::string& kind) : Prompt(Tokenizer::load(kTextData / kind)) {
    learn(type_of(kind) == TokenizerType::kAuto ? LabelMask::kAssistant : LabelMask::kOriginal, type_of(kind));
  }

  explicit Prompt(Tokenizer loaded) : tokenizer(std::move(loaded)) {
    options.attachment_token = kImage;
    options.attachment_token_id = tokenizer.add_special_token(kImage);
    options.embeddings_per_image = 3;
    options.today = "2026-11-25";
  }

  void learn(LabelMask mask, TokenizerType type) {
    options.label_mask = mask;
    options.chat_format = find_chat_format(tokenizer, type, mask, options.today);
  }

  EncodedText encode(const std::vector<Message>& messages) const { return encode_conversation(tokenizer, messages, options); }

  /// The text of the learnt tokens, each run apart.
  std::vector<std::string> learnt_runs(const EncodedText& encoded) const {
    std::vector<std::string> runs;
    Ids run;
    for (size_t i = 0; i <= encoded.labels.size(); ++i) {
      if (i < encoded.labels.size() && encoded.labels[i] != -100) {
        run.push_back(encoded.labels[i]);
      } else if (!run.empty()) {
        runs.push_back(tokenizer.decode(run));
        run.clear();
      }
    }
    return runs;
  }

  std::vector<std::string> learnt(const std::vector<Message>& messages) const { return learnt_runs(encode(messages)); }

  Tokenizer tokenizer;
  PromptOptions options;
};

/// The small tokenizer `kind` with another chat template, under `label_mask: assistant`.
inline Prompt with_template(const std::string& kind, const std::string& chat_template, TokenizerType type = TokenizerType::kAuto) {
  TemporaryFolder folder;
  std::filesystem::copy(kTextData / kind, folder.path(), std::filesystem::copy_options::recursive);
  write_file_atomic(folder / "chat_template.jinja", chat_template);
  Prompt prompt(Tokenizer::load(folder.path()));
  prompt.learn(LabelMask::kAssistant, type);
  return prompt;
}

}  // namespace multimeditron::testing
