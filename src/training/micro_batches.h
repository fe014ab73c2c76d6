#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "data/length_index.h"
#include "data/loader.h"
#include "data/packer.h"
#include "data/sampler.h"
#include "recipe/recipe.h"
#include "tracking/progress.h"
#include "training/schedule.h"

namespace multimeditron {

/// Rows of each micro-batch, by epoch and index: samples in the original's order, or packs.
struct MicroBatchOrder {
  std::function<std::vector<int64_t>(int64_t epoch, int64_t index)> rows;
  std::function<int64_t(int64_t epoch)> batches_per_epoch;
  /// Rows for a header: packs, how their lengths were found, what is left out.
  std::vector<std::pair<std::string, std::string>> description = {};
  int64_t longest = 0;  ///< tokens of the longest sample; 0 where that is not known ahead
};

/// Micro-batches of `per_device_train_batch_size` samples. Refers to `dataset`.
MicroBatchOrder order_of_samples(const Recipe& recipe, const Dataset& dataset);

/// Micro-batches of as many packs (`pack_sequences`). `builder` is asked for lengths, or the index of an earlier launch is; shows how far
/// that has come once it takes longer than a second. A stop signal meanwhile throws Interrupted.
MicroBatchOrder order_of_packs(const Recipe& recipe, const Dataset& dataset, SampleBuilder& builder, int num_threads, Progress& progress);

/// Warns, and says whether it did, where a sample of `tokens` goes beyond the language model's `max_position_embeddings`.
bool warn_beyond_positions(int64_t tokens, int64_t positions);

/// The micro-batches of all steps from `first_step` on, as a loader of that rank is to deliver them. Refers to `order` and `plan`.
BatchPlan plan_batches(const MicroBatchOrder& order, const StepPlan& plan, int64_t first_step, RankView rank = {});

}  // namespace multimeditron
