#include "training/micro_batches.h"

namespace multimeditron {

MicroBatchOrder make_order(const Recipe& recipe, SampleBuilder& builder, int64_t num_rows, int num_threads) {
  const TrainingArguments& arguments = recipe.training_args;
  if (!recipe.pack_sequences) {
    const auto sampler = std::make_shared<Sampler>(num_rows, recipe.seed, arguments.seed, arguments.per_device_train_batch_size);
    return {.rows = [sampler](int64_t epoch, int64_t index) { return sampler->batch(epoch, index); },
            .batches_per_epoch = [sampler](int64_t) { return sampler->batches_per_epoch(); }};
  }
  const int64_t max_length = recipe.max_length > 0 ? recipe.max_length : recipe.max_sequence_length.value_or(0);
  builder.set_max_length(max_length);
  const auto sampler = std::make_shared<PackedSampler>(sample_lengths(builder, num_threads), max_length, recipe.seed, arguments.seed,
                                                       arguments.per_device_train_batch_size);
  return {.rows = [sampler](int64_t epoch, int64_t index) { return sampler->batch(epoch, index); },
          .batches_per_epoch = [sampler](int64_t epoch) { return sampler->batches_per_epoch(epoch); },
          .packing_efficiency = sampler->efficiency(0)};
}

}  // namespace multimeditron
