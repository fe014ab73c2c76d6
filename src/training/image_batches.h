#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/loader.h"

namespace multimeditron {

/// The samples' first images: [N, 3, side, side]
at::Tensor pixels_of(std::span<const Sample> samples, int64_t side);

/// Calls `body` with batches of the usable ones of `rows`, in order, without a graph. Bad ones go to `quarantine`.
void for_each_batch(const SampleSource& source, const Dataset& dataset, const std::vector<int64_t>& rows, int64_t batch_size, int threads,
                    Quarantine& quarantine, const std::function<void(std::span<const Sample>)>& body);

}  // namespace multimeditron
