#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/sampler.h"

namespace multimeditron {

/// Samples that share one sequence of at most `max_length` tokens; attention does not cross them.
using Pack = std::vector<int64_t>;

/// First-fit-decreasing inside consecutive windows of `order` (rows of the data), then the packs shuffled by `seed`.
/// `lengths[row]`: tokens of each row; 0 or less for a row that cannot be used, which takes no room but stays in a pack so that it is
/// counted; a window's rows of that kind are dealt evenly over its packs, or get a pack each where there is none. A pure function; each row
/// of `order` is in exactly one pack. A row longer than `max_length` counts as one that cannot be used.
std::vector<Pack> pack_samples(std::span<const int64_t> order, std::span<const int64_t> lengths, int64_t max_length, uint64_t seed,
                               int64_t window = 16384);

/// The sampler of `pack_sequences`: micro-batch i is `batch_size` packs. A function of (lengths, seeds, epoch) alone.
class PackedSampler {
 public:
  /// `samples` gives each epoch's rows in their order; `lengths` those of all rows.
  PackedSampler(std::vector<int64_t> lengths, int64_t max_length, Sampler samples, int64_t training_seed, int64_t batch_size);
  PackedSampler(std::vector<int64_t> lengths, int64_t max_length, int64_t recipe_seed, int64_t training_seed, int64_t batch_size);

  /// Dataset rows of micro-batch `index` of `epoch`, pack after pack; the last one of an epoch may hold fewer packs. Not thread-safe
  /// (caches one epoch's packs).
  std::vector<int64_t> batch(int64_t epoch, int64_t index);
  /// Epochs differ: packs depend on the order.
  int64_t batches_per_epoch(int64_t epoch);
  int64_t packs_per_epoch(int64_t epoch);
  /// Used share of the packs' room in `epoch`.
  double efficiency(int64_t epoch);

 private:
  void prepare(int64_t epoch);

  std::vector<int64_t> lengths_;
  int64_t max_length_, training_seed_, batch_size_;
  Sampler samples_;
  int64_t epoch_ = -1;
  std::vector<Pack> packs_;
};

}  // namespace multimeditron
