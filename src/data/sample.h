#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"
#include "image/processor.h"
#include "text/prompt.h"

namespace multimeditron {

/// An image as it goes into the encoder.
struct ImageInput {
  int64_t width = 0, height = 0;    ///< as decoded, before the processor
  uint64_t content_hash = 0;        ///< equal for equal encoded bytes of one type: an image that occurs again may be encoded once
  std::vector<float> pixel_values;  ///< [3, H, W]
};

/// A sample, ready for a batch.
struct Sample {
  int64_t index = 0;  ///< row of the concatenated data sets
  EncodedText text;
  std::vector<ImageInput> images;
};

class ImageCache;

/// How often a cache of images was asked, and how often it had what was asked for.
struct ImageCacheUse {
  int64_t asked = 0, found = 0;
};

/// Whatever makes samples of rows. Const calls are thread-safe.
class SampleSource {
 public:
  virtual ~SampleSource() = default;
  /// Throws UserError for a bad sample, naming file and row. No message holds text of the row.
  virtual Sample build(int64_t index) const = 0;
};

/// Turns rows into samples: loads and decodes images, applies the processor, renders and tokenizes. Const calls are thread-safe.
/// Refers to `dataset` and `tokenizer`, which must outlive it.
class SampleBuilder : public SampleSource {
 public:
  SampleBuilder(const Dataset& dataset, const Tokenizer& tokenizer, PromptOptions prompt, std::vector<LoaderSpec> loaders,
                std::optional<ImageProcessor> processor);

  /// Longer samples are bad ones for build() (the room of a pack). Set before the first build.
  void set_max_length(int64_t max_length) { max_length_ = max_length; }
  /// Lengths of all rows by which packs were made: a row that is longer now, since it could not be counted then, has no room in its pack
  /// and is a bad one for build(). Set before the first build.
  void set_counted_lengths(std::vector<int64_t> lengths) { counted_lengths_ = std::move(lengths); }

  /// Bad are: undecodable images, placeholders and images that differ in number, no assistant turn, ...
  Sample build(int64_t index) const override;
  /// Keeps up to `size_bytes` of images that have been made ready, the least recently used ones dropped: one that occurs again is not
  /// decoded again. 0 keeps none. Set before the first build.
  void set_image_cache(int64_t size_bytes);
  ImageCacheUse image_cache_use() const;
  /// Tokens of the sample, without a look at its images and whatever the room of a pack; 0 for one whose text cannot be used.
  int64_t length(int64_t index) const;
  /// A hash of all that length() depends on: rows, tokenizer, options, and the rule itself.
  std::string length_fingerprint() const;
  /// The first `count` images of a row decoded, before the processor (`inspect`): a sample's own, without those behind a cut.
  std::vector<RgbImage> decode_images(int64_t index, size_t count) const;
  /// Rows of the data set.
  int64_t size() const { return dataset_.size(); }

 private:
  EncodedText encode(const Row& row, int64_t index) const;
  ImageInput image_input(const std::string& bytes, const std::string& type, int64_t index) const;
  std::string load_image(const Row& row, size_t item, int64_t index) const;
  RgbImage decode(const std::string& bytes, const std::string& type, int64_t index) const;

  const Dataset& dataset_;
  const Tokenizer& tokenizer_;
  PromptOptions prompt_;
  std::vector<LoaderSpec> loaders_;
  std::optional<ImageProcessor> processor_;
  std::optional<int64_t> max_length_;
  std::vector<int64_t> counted_lengths_;
  std::shared_ptr<ImageCache> image_cache_;
};

}  // namespace multimeditron
