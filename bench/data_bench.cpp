// Packing of an epoch: samples a second, and the share of the slots that are filled.
//   build/bench/data_bench

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "data/packer.h"

namespace multimeditron {
namespace {

/// Lengths as conversations have them: log-normal, median 300, sigma 0.8, cut at 4096.
std::vector<int64_t> natural_lengths(int64_t n) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> length(std::log(300.0), 0.8);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(std::clamp<int64_t>(std::llround(length(random)), 1, 4096));
  return lengths;
}

void PackEpoch(benchmark::State& state) {
  constexpr int64_t kMaxLength = 4096;
  const std::vector<int64_t> lengths = natural_lengths(state.range(0));
  PackedSampler sampler(lengths, kMaxLength, 0, 42, 1);
  int64_t epoch = 0, packs = 0, rows = 0;
  for (auto step : state) packs = sampler.packs_per_epoch(epoch++);
  for (int64_t i = 0; i < packs; ++i) rows += static_cast<int64_t>(sampler.batch(epoch - 1, i).size());
  if (rows != state.range(0)) return state.SkipWithError("rows were lost");
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["filled_%"] = 100 * sampler.efficiency(epoch - 1);
}

BENCHMARK(PackEpoch)->Arg(1'000)->Arg(10'000)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace multimeditron

BENCHMARK_MAIN();
