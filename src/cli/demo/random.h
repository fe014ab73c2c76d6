#pragma once

#include <cstdint>
#include <iterator>
#include <random>
#include <utility>

namespace multimeditron::demo {

/// Random numbers that are the same on every machine (the standard library's distributions are not).
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  /// In [0, 1), 53 bits.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// In [0, n).
  int64_t index(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }
  /// N(0, 1), by the Box-Muller transform.
  double normal();

  template <class Choices>
  const auto& choose(const Choices& choices) {
    return choices[static_cast<size_t>(index(static_cast<int64_t>(std::size(choices))))];
  }
  /// Fisher-Yates.
  template <class Values>
  void shuffle(Values& values) {
    for (int64_t i = static_cast<int64_t>(std::size(values)) - 1; i > 0; --i) std::swap(values[i], values[index(i + 1)]);
  }

 private:
  std::mt19937_64 engine_;
};

/// A seed for part `index` of stream `stream`: neighbouring numbers give unrelated seeds (splitmix64).
uint64_t derive_seed(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace multimeditron::demo
