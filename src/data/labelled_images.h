#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/sample.h"

namespace multimeditron {

/// What an image classifier is trained and measured on: the rows of each class's data sets, one class after the other, as pixels of one
/// size.
///
/// Rows are asked for by numbers: row + size() * draw. Draw 0 is the image as it is measured (shorter edge resized, middle cropped), draw
/// e + 1 the augmented one of epoch e. So the same number is the same pixels, in whatever order and on whatever thread. Const calls are
/// thread-safe.
class LabelledImages : public Dataset, public SampleSource {
 public:
  struct Options {
    int64_t edge = 256, side = 224;
    std::array<double, 3> mean{}, std{};
    std::optional<ImageProcessor> processor;  ///< draw 0 as a model's processor makes it, without the four above
    uint64_t seed = 0;                        ///< of the augmentations
    std::vector<LoaderSpec> loaders;
  };
  LabelledImages(std::vector<std::unique_ptr<Dataset>> classes, Options options);

  int64_t num_classes() const { return static_cast<int64_t>(classes_.size()); }
  /// Rows of one class: [first_row(c), first_row(c + 1)).
  int64_t first_row(int64_t label) const { return first_rows_[static_cast<size_t>(label)]; }
  int64_t label(int64_t number) const;
  int64_t augmented(int64_t row, int64_t epoch) const { return row + size() * (epoch + 1); }

  int64_t size() const override { return first_rows_.back(); }
  Row row(int64_t number) const override;
  std::string fingerprint() const override;
  std::string place(int64_t number) const override;
  int64_t listed_row(int64_t number) const override { return number % size(); }
  std::filesystem::path folder(int64_t number) const override;

  /// The row's first image. Bad are: no image, one that cannot be decoded. The sample's `index` is `number`.
  Sample build(int64_t number) const override;

 private:
  struct Place {
    const Dataset* dataset;
    int64_t row;
  };
  Place find(int64_t number) const;

  std::vector<std::unique_ptr<Dataset>> classes_;
  std::vector<int64_t> first_rows_;  // and the end
  Options options_;
};

}  // namespace multimeditron
