#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/sample.h"

namespace multimeditron {

/// How a text tower takes captions.
struct CaptionRule {
  int64_t eos_token_id = 0, max_length = 0;
};

/// A caption's tokens with the tokenizer's own special tokens: at most `max_length`, the last one the end-of-text token.
std::vector<int64_t> caption_ids(const Tokenizer& tokenizer, const std::string& caption, const CaptionRule& rule);

/// Turns rows into an image and its caption, for contrastive training: the row's one image through the processor, and as `text.input_ids`
/// caption_ids of the caption. That is the row's `text`, or the first answer of its conversation; attachment tokens are left out of it.
/// Const calls are thread-safe. Refers to `dataset` and `tokenizer`, which must outlive it.
class PairBuilder : public SampleSource {
 public:
  PairBuilder(const Dataset& dataset, const Tokenizer& tokenizer, std::vector<LoaderSpec> loaders, ImageProcessor processor,
              std::string attachment_token, CaptionRule rule);

  /// Bad are: no caption, no image or several, an image that cannot be decoded.
  Sample build(int64_t index) const override;

 private:
  std::string caption(const Row& row) const;

  const Dataset& dataset_;
  const Tokenizer& tokenizer_;
  std::vector<LoaderSpec> loaders_;
  ImageProcessor processor_;
  std::string attachment_token_;
  CaptionRule rule_;
};

}  // namespace multimeditron
