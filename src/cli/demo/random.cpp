#include "cli/demo/random.h"

#include <cmath>
#include <numbers>

#include "base/hash.h"

namespace multimeditron::demo {

double Random::uniform() {
  return static_cast<double>(engine_() >> 11) * 0x1.0p-53;
}

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

uint64_t derive_seed(uint64_t seed, uint64_t stream, uint64_t index) {
  return mix_seed(mix_seed(seed, stream), index);
}

}  // namespace multimeditron::demo
