#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "doctor/findings.h"
#include "doctor/image_book.h"
#include "doctor/ngrams.h"
#include "text/prompt.h"

namespace multimeditron {

/// What rows are needed for.
enum class RowUse {
  kSamples,  ///< training and its like: a text or a conversation, with its images
  kPairs,    ///< train-expert: one image and its caption
  kImages,   ///< train-gate: an image
};

/// How rows are turned into samples.
struct RowRules {
  RowUse use = RowUse::kSamples;
  const Tokenizer* tokenizer = nullptr;  ///< null: tokens and labels are not counted
  PromptOptions prompt;                  ///< `attachment_token` counts without a tokenizer too
  std::optional<int64_t> pack_length;    ///< longer samples are bad
  std::vector<LoaderSpec> loaders;
  bool has_loaders = false;  ///< else bytes are taken where there are some, and paths below the data set's folder
};

/// What one row is like.
struct RowFacts {
  std::vector<std::pair<Finding, std::string>> findings;  ///< each once, with detail
  bool is_bad = false;
  int64_t length = 0;  ///< tokens, or characters without a tokenizer
  int64_t learnt_tokens = 0;
  int64_t lost_tokens = 0, lost_turns = 0, lost_images = 0;  ///< to truncation
  int64_t turns = 0;
  std::vector<std::string> roles;  ///< a turn
  std::vector<const ImageBook::Image*> images;
  std::string text;      ///< what was said by user and assistant, or the text, without attachment tokens
  uint64_t content = 0;  ///< equal for equal rows
};

/// Looks at rows of one data set. Const calls are thread-safe. Refers to what it is given.
class RowExaminer {
 public:
  RowExaminer(const Dataset& dataset, uint32_t data_set, const RowRules& rules, ImageBook& book);
  RowFacts examine(int64_t row) const;

 private:
  void examine_text(const Row& row, RowFacts& facts) const;
  void examine_turns(const Row& row, RowFacts& facts) const;
  void encode(const Row& row, RowFacts& facts) const;
  void examine_images(const Row& row, int64_t index, RowFacts& facts) const;

  const Dataset& dataset_;
  uint32_t data_set_;
  const RowRules& rules_;
  ImageBook& book_;
};

/// The bytes of an attachment as `rules` load it. Throws UserError.
std::string load_bytes(const Attachment& attachment, const RowRules& rules, const std::filesystem::path& folder);

}  // namespace multimeditron
