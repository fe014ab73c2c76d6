#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "data/packer.h"
#include "data/sampler.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// Rows of each micro-batch, by epoch and index: samples in the original's order, or packs.
struct MicroBatchOrder {
  std::function<std::vector<int64_t>(int64_t epoch, int64_t index)> rows;
  std::function<int64_t(int64_t epoch)> batches_per_epoch;
  double packing_efficiency = 0;  ///< 0 where nothing is packed
};

/// `builder` is asked for lengths where the recipe packs.
MicroBatchOrder make_order(const Recipe& recipe, SampleBuilder& builder, int64_t num_rows, int num_threads);

}  // namespace multimeditron
