#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "data/labelled_images.h"

namespace multimeditron {

/// What the backbone makes of images, kept while it does not change.
struct GateFeatures {
  at::Tensor values;                           ///< [N, num_features]
  std::unordered_map<int64_t, int64_t> place;  ///< of a row; unusable images have none

  /// The features of those of `rows` that have some, which go to `found`.
  at::Tensor take(std::span<const int64_t> rows, std::vector<int64_t>& found) const;
};

/// The classes of `numbers`: [N]
at::Tensor labels_of(const LabelledImages& images, std::span<const int64_t> numbers);
/// The samples' numbers, as LabelledImages counts them.
std::vector<int64_t> numbers_of(std::span<const Sample> samples);

}  // namespace multimeditron
