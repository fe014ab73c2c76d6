#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace multimeditron {

/// `numpy.random.default_rng(seed).permutation(n)`: SeedSequence, PCG64, bounded integers by masking and rejection.
std::vector<int64_t> numpy_permutation(uint64_t seed, int64_t n);

/// `torch.randperm(n, generator=torch.Generator().manual_seed(seed))` on a CPU: MT19937, modulo.
std::vector<int64_t> torch_randperm(uint64_t seed, int64_t n);

/// The row at a position of an epoch before it is shuffled (Dataset::row_of_epoch); where absent, the position itself.
using RowOfEpoch = std::function<int64_t(int64_t epoch, int64_t position)>;

/// Which samples make up micro-batch i of an epoch: a function of (n, seeds, epoch) alone.
/// The recipe's `seed` shuffles the concatenated data once; `training_args.seed` + epoch draws the epoch's order from that.
class Sampler {
 public:
  /// `num_samples`: positions of an epoch.
  Sampler(int64_t num_samples, int64_t recipe_seed, int64_t training_seed, int64_t batch_size, RowOfEpoch row_of_epoch = nullptr);

  /// All rows of an epoch, in its order.
  std::vector<int64_t> epoch_rows(int64_t epoch) const;

  /// Dataset rows of micro-batch `index` of `epoch`; the last one of an epoch may be shorter. Not thread-safe (caches one epoch's order).
  std::vector<int64_t> batch(int64_t epoch, int64_t index);
  int64_t batches_per_epoch() const { return (num_samples_ + batch_size_ - 1) / batch_size_; }

 private:
  int64_t num_samples_, training_seed_, batch_size_;
  RowOfEpoch row_of_epoch_;
  std::vector<int64_t> shuffle_order_;
  int64_t epoch_ = -1;
  std::vector<int64_t> epoch_order_;
};

}  // namespace multimeditron
