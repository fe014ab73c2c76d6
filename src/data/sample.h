#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "image/processor.h"
#include "text/prompt.h"

namespace multimeditron {

/// An image as it goes into the encoder.
struct ImageInput {
  int64_t width = 0, height = 0;                     ///< of the decoded file
  uint64_t content_hash = 0;                         ///< equal for equal encoded bytes: an image that occurs again may be encoded once
  std::vector<float> pixel_values;                   ///< [3, H, W]
};

/// A sample, ready for a batch.
struct Sample {
  int64_t index = 0;                                 ///< row of the concatenated data sets
  EncodedText text;
  std::vector<ImageInput> images;
};

/// Turns rows into samples: loads and decodes images, applies the processor, renders and tokenizes. Const calls are thread-safe.
class SampleBuilder {
 public:
  SampleBuilder(const Dataset& dataset, const Tokenizer& tokenizer, PromptOptions prompt, std::vector<LoaderSpec> loaders,
                std::optional<ImageProcessor> processor);

  /// Throws UserError for a bad sample (undecodable image, placeholders and images differ in number, no assistant turn, ...), naming file and row.
  Sample build(int64_t index) const;
  /// The decoded images of a row, before the processor (`inspect`).
  std::vector<RgbImage> decode_images(int64_t index) const;

 private:
  const Dataset& dataset_;
  const Tokenizer& tokenizer_;
  PromptOptions prompt_;
  std::vector<LoaderSpec> loaders_;
  std::optional<ImageProcessor> processor_;
};

}  // namespace multimeditron
