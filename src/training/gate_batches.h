#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <vector>

#include "data/labelled_images.h"
#include "data/loader.h"

namespace multimeditron {

/// What the backbone makes of images, kept while it does not change.
struct GateFeatures {
  at::Tensor values;                           ///< [N, num_features]
  std::unordered_map<int64_t, int64_t> place;  ///< of a row; unusable images have none

  /// The features of those of `rows` that have some, which go to `found`.
  at::Tensor take(std::span<const int64_t> rows, std::vector<int64_t>& found) const;
};

/// [N, 3, side, side]
at::Tensor pixels_of(std::span<const Sample> samples, int64_t side);
/// The classes of `numbers`: [N]
at::Tensor labels_of(const LabelledImages& images, std::span<const int64_t> numbers);
/// The samples' numbers, as LabelledImages counts them.
std::vector<int64_t> numbers_of(std::span<const Sample> samples);

/// Calls `body` with batches of the usable ones of `rows`, as they are measured, without a graph. Bad ones go to `quarantine`.
void for_each_batch(const LabelledImages& images, const std::vector<int64_t>& rows, int64_t batch_size, int threads, Quarantine& quarantine,
                    const std::function<void(std::span<const Sample>)>& body);

}  // namespace multimeditron
