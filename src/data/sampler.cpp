#include "data/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <random>
#include <utility>

#include "base/error.h"

namespace multimeditron {
namespace {

__extension__ using Uint128 = unsigned __int128;

/// numpy.random.SeedSequence (M. E. O'Neill's seed_seq_fe) for one integer of at most 64 bits.
std::array<uint64_t, 4> seed_state(uint64_t seed) {
  uint32_t hash = 0x43b0d7e5;
  const auto hashmix = [&hash](uint32_t value) {
    value ^= hash;
    hash *= 0x931e8875;
    value *= hash;
    return value ^ (value >> 16);
  };
  const auto mix = [](uint32_t x, uint32_t y) {
    const uint32_t result = 0xca01f9dd * x - 0x4973f715 * y;
    return result ^ (result >> 16);
  };
  const std::array<uint32_t, 4> entropy = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32), 0, 0};
  std::array<uint32_t, 4> pool;
  for (size_t i = 0; i < 4; ++i) pool[i] = hashmix(entropy[i]);
  for (size_t from = 0; from < 4; ++from) {
    for (size_t to = 0; to < 4; ++to) {
      if (from != to) pool[to] = mix(pool[to], hashmix(pool[from]));
    }
  }

  uint32_t hash_out = 0x8b51f9dd;
  std::array<uint64_t, 4> state{};
  for (size_t i = 0; i < 8; ++i) {
    uint32_t value = pool[i % 4] ^ hash_out;
    hash_out *= 0x58f38ded;
    value *= hash_out;
    value ^= value >> 16;
    state[i / 2] |= static_cast<uint64_t>(value) << (32 * (i % 2));
  }
  return state;
}

/// PCG64 (XSL-RR 128/64) as numpy seeds it; 32-bit draws use both halves of a 64-bit one, the low half first.
class Pcg64 {
 public:
  explicit Pcg64(uint64_t seed) {
    const std::array<uint64_t, 4> words = seed_state(seed);
    increment_ = ((Uint128(words[2]) << 64 | words[3]) << 1) | 1;
    step();
    state_ += Uint128(words[0]) << 64 | words[1];
    step();
  }

  uint64_t next64() {
    step();
    const auto folded = static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_);
    const auto rotation = static_cast<int>(state_ >> 122);
    return folded >> rotation | folded << (-rotation & 63);
  }

  uint32_t next32() {
    if (has_half_) {
      has_half_ = false;
      return half_;
    }
    const uint64_t whole = next64();
    half_ = static_cast<uint32_t>(whole >> 32);
    has_half_ = true;
    return static_cast<uint32_t>(whole);
  }

  /// Uniform in [0, last], last > 0: as many low bits as `last` has, drawn again while they exceed it.
  uint32_t below_or_equal(uint32_t last) {
    const uint32_t mask = 0xffffffffu >> std::countl_zero(last);
    uint32_t value;
    do {
      value = next32() & mask;
    } while (value > last);
    return value;
  }

 private:
  void step() { state_ = state_ * (Uint128(0x2360ed051fc65da4) << 64 | 0x4385df649fccf645) + increment_; }

  Uint128 state_ = 0, increment_ = 0;
  uint32_t half_ = 0;
  bool has_half_ = false;
};

std::vector<int64_t> iota(int64_t n) {
  // Beyond, torch draws 64 bits a step.
  constexpr int64_t kMost = 0xffffffff / 20;
  if (n >= kMost) throw UserError("too many samples", {.found = fmt::format("{}; at most {} can be shuffled", n, kMost - 1)});
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

}  // namespace

std::vector<int64_t> numpy_permutation(uint64_t seed, int64_t n) {
  std::vector<int64_t> order = iota(n);
  Pcg64 random(seed);
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random.below_or_equal(static_cast<uint32_t>(i))]);
  return order;
}

std::vector<int64_t> torch_randperm(uint64_t seed, int64_t n) {
  std::vector<int64_t> order = iota(n);
  std::mt19937 random(static_cast<uint32_t>(seed));
  for (size_t i = 0; i + 1 < order.size(); ++i) std::swap(order[i], order[i + static_cast<uint32_t>(random()) % (order.size() - i)]);
  return order;
}

Sampler::Sampler(int64_t num_samples, int64_t recipe_seed, int64_t training_seed, int64_t batch_size, RowOfEpoch row_of_epoch)
    : num_samples_(num_samples),
      training_seed_(training_seed),
      batch_size_(batch_size),
      row_of_epoch_(std::move(row_of_epoch)),
      shuffle_order_(numpy_permutation(static_cast<uint64_t>(recipe_seed), num_samples)) {}

std::vector<int64_t> Sampler::epoch_rows(int64_t epoch) const {
  std::vector<int64_t> rows = torch_randperm(static_cast<uint64_t>(training_seed_ + epoch), num_samples_);
  for (int64_t& row : rows) {
    row = shuffle_order_[static_cast<size_t>(row)];
    if (row_of_epoch_) row = row_of_epoch_(epoch, row);
  }
  return rows;
}

std::vector<int64_t> Sampler::batch(int64_t epoch, int64_t index) {
  if (epoch != epoch_) {
    epoch_order_ = epoch_rows(epoch);
    epoch_ = epoch;
  }
  const int64_t first = std::min(index * batch_size_, num_samples_), end = std::min(first + batch_size_, num_samples_);
  return {epoch_order_.begin() + first, epoch_order_.begin() + end};
}

}  // namespace multimeditron
