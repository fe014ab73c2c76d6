#include "generation/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/hash.h"

namespace multimeditron {
namespace {

/// The finaliser of SplitMix64: a bijection whose outputs look independent.
uint64_t mix(uint64_t x) {
  return mix_seed(x, 0);
}

/// In [0, 1), a function of its arguments: no state to share between the sequences of a batch.
double uniform(uint64_t seed, uint64_t sequence, uint64_t step) {
  return static_cast<double>(mix(mix(mix(seed) ^ sequence) ^ step) >> 11) * 0x1p-53;
}

Choice greedy(std::span<const float> logits) {
  Choice best;
  float first = -std::numeric_limits<float>::infinity(), second = first;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] > first) {
      second = first;
      first = logits[id];
      best.id = static_cast<int64_t>(id);
    } else if (logits[id] > second) {
      second = logits[id];
    }
  }
  best.margin = first - second;
  return best;
}

}  // namespace

Choice choose_token(std::span<const float> logits, const SamplingOptions& options, uint64_t sequence, uint64_t step) {
  Choice choice = greedy(logits);
  if (options.temperature == 0) return choice;

  // Candidates, the likeliest first; equal ones by id, so that the order is one order.
  std::vector<int64_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto likelier = [&](int64_t a, int64_t b) { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; };
  const size_t kept = options.top_k > 0 ? std::min(ids.size(), static_cast<size_t>(options.top_k)) : ids.size();
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept), ids.end(), likelier);
  ids.resize(kept);

  std::vector<double> weights(kept);
  const double highest = logits[ids.front()];
  for (size_t i = 0; i < kept; ++i) weights[i] = std::exp((logits[ids[i]] - highest) / options.temperature);
  double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  if (options.top_p < 1) {
    double reached = 0;
    size_t nucleus = 0;
    while (nucleus < kept && reached < options.top_p * sum) reached += weights[nucleus++];
    weights.resize(std::max<size_t>(nucleus, 1));
    sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  }

  double left = uniform(options.seed, sequence, step) * sum;
  size_t drawn = 0;
  while (drawn + 1 < weights.size() && left >= weights[drawn]) left -= weights[drawn++];
  choice.id = ids[drawn];
  return choice;
}

}  // namespace multimeditron
