#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "base/hash.h"

namespace multimeditron {

/// Draws that are the same on every machine: SplitMix64, two draws of 32 bits a step, the upper half first.
class Draws {
 public:
  explicit Draws(uint64_t seed) : state_(seed) {}

  /// In [0, count), count < 2^32. The bias of multiply-and-shift, count / 2^32, is far below what a bootstrap resolves.
  uint64_t below(uint64_t count) { return (bits() * count) >> 32; }

 private:
  uint64_t bits() {
    if (has_half_) {
      has_half_ = false;
      return word_ & 0xffffffff;
    }
    state_ += 0x9e3779b97f4a7c15;
    word_ = mix_bits(state_);
    has_half_ = true;
    return word_ >> 32;
  }

  uint64_t state_, word_ = 0;
  bool has_half_ = false;
};

/// Fisher-Yates.
template <class T>
void shuffle(std::span<T> items, Draws& draws) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[draws.below(i)]);
}

}  // namespace multimeditron
