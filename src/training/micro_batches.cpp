#include "training/micro_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/hub.h"
#include "base/log.h"
#include "base/signals.h"

namespace multimeditron {
namespace {

using Clock = std::chrono::steady_clock;

LengthIndex find_lengths(const SampleBuilder& builder, int num_threads, Progress& progress) {
  const Clock::time_point start = Clock::now();
  const std::filesystem::path cache = program_cache();
  return length_index(
      builder,
      {.folder = cache.empty() ? cache : cache / "lengths", .num_threads = num_threads, .progress = [&](int64_t done, int64_t total) {
         if (stop_requested()) throw Interrupted();
         if (Clock::now() - start > std::chrono::seconds(1)) progress.count({"samples measured", done, total});
       }});
}

/// Takes each data set as often as its `weight` says.
Sampler make_sampler(const Recipe& recipe, const Dataset& dataset) {
  return Sampler(dataset.rows_per_epoch(), recipe.seed, recipe.training_args.seed, recipe.training_args.per_device_train_batch_size,
                 [&dataset](int64_t epoch, int64_t position) { return dataset.row_of_epoch(epoch, position); });
}

}  // namespace

MicroBatchOrder order_of_samples(const Recipe& recipe, const Dataset& dataset) {
  const auto sampler = std::make_shared<Sampler>(make_sampler(recipe, dataset));
  return {.rows = [sampler](int64_t epoch, int64_t index) { return sampler->batch(epoch, index); },
          .batches_per_epoch = [sampler](int64_t) { return sampler->batches_per_epoch(); }};
}

MicroBatchOrder order_of_packs(const Recipe& recipe, const Dataset& dataset, SampleBuilder& builder, int num_threads, Progress& progress) {
  const TrainingArguments& arguments = recipe.training_args;
  const int64_t max_length = recipe.max_length > 0 ? recipe.max_length : recipe.max_sequence_length.value_or(0);
  builder.set_max_length(max_length);
  LengthIndex index = find_lengths(builder, num_threads, progress);
  builder.set_counted_lengths(index.lengths);
  int64_t unreadable = 0, too_long = 0, longest = 0;
  for (const int64_t length : index.lengths) {
    unreadable += length == 0;
    too_long += length > max_length;
    if (length <= max_length) longest = std::max(longest, length);
  }
  const std::string found = index.was_kept ? fmt::format("kept from an earlier launch in {}", index.file.string())
                                           : fmt::format("counted in {}", format_duration(index.seconds)) +
                                                 (index.file.empty() ? "" : fmt::format(", kept in {}", index.file.string()));
  const auto sampler = std::make_shared<PackedSampler>(std::move(index.lengths), max_length, make_sampler(recipe, dataset), arguments.seed,
                                                       arguments.per_device_train_batch_size);
  const std::string packs = fmt::format("{} of {} tokens in the first epoch, {:.2f} % of them filled",
                                        format_count(sampler->packs_per_epoch(0)), format_count(max_length), 100 * sampler->efficiency(0));
  std::vector<std::pair<std::string, std::string>> description{{"packs", packs}, {"lengths", found}};
  if (unreadable + too_long > 0) {
    description.emplace_back("left out", fmt::format("{} of {} samples: {} longer than a pack, {} without what a sample needs; "
                                                     "`multimeditron check {}` lists them",
                                                     format_count(unreadable + too_long), format_count(dataset.size()),
                                                     format_count(too_long), format_count(unreadable), recipe.file.string()));
  }
  return {.rows = [sampler](int64_t epoch, int64_t index) { return sampler->batch(epoch, index); },
          .batches_per_epoch = [sampler](int64_t epoch) { return sampler->batches_per_epoch(epoch); },
          .description = std::move(description),
          .longest = longest};
}

bool warn_beyond_positions(int64_t tokens, int64_t positions) {
  if (positions <= 0 || tokens <= positions) return false;
  warn(fmt::format(
      "a sample has {} tokens, and the language model was made for {} (`max_position_embeddings`): what it learns there is of little "
      "use; `truncation: true` with `max_sequence_length` cuts samples, `pack_sequences` with `max_length` leaves long ones out",
      format_count(tokens), format_count(positions)));
  return true;
}

BatchPlan plan_batches(const MicroBatchOrder& order, const StepPlan& plan, int64_t first_step, RankView rank) {
  return {.rows_of =
              [&order, &plan](int64_t number) {
                const auto [epoch, index] = plan.locate(number);
                return order.rows(epoch, index);
              },
          .first = plan.batches_before(first_step),
          .end = plan.batches_before(plan.total_steps()),
          .is_mine = [&plan, rank](int64_t number) { return rank.owns(plan.index_in_step(number)); }};
}

}  // namespace multimeditron
