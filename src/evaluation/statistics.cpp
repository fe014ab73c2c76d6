#include "evaluation/statistics.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "evaluation/random.h"

namespace multimeditron {
namespace {

/// Linear between order statistics, as NumPy's default. Reorders `values`.
double percentile(std::vector<double>& values, double share) {
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(place);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<size_t>(below)];
  if (below + 1 == static_cast<std::ptrdiff_t>(values.size())) return low;
  const double high = *std::min_element(values.begin() + below + 1, values.end());
  return low + (place - static_cast<double>(below)) * (high - low);
}

/// Sums over the rows of one cluster: one cache line, for drawing them is what takes the time.
struct alignas(64) Cluster {
  Measures sums{};
  double rows = 0;
};

std::vector<Cluster> gather(std::span<const Measures> rows, std::span<const std::string> names) {
  std::vector<Cluster> clusters;
  std::unordered_map<std::string_view, size_t> number;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [entry, is_new] = number.try_emplace(names[i], clusters.size());
    if (is_new) clusters.emplace_back();
    Cluster& cluster = clusters[entry->second];
    for (size_t m = 0; m < kMeasures; ++m) cluster.sums[m] += rows[i][m];
    ++cluster.rows;
  }
  return clusters;
}

}  // namespace

std::array<Estimate, kMeasures> estimate(std::span<const Measures> rows, std::span<const std::string> names, uint64_t seed,
                                         int64_t resamples) {
  std::array<Estimate, kMeasures> result;
  const auto n = static_cast<double>(rows.size());
  for (size_t m = 0; m < kMeasures; ++m) {
    Estimate& each = result[m];
    each.n = static_cast<int64_t>(rows.size());
    double sum = 0, squares = 0;
    for (const Measures& row : rows) sum += row[m];
    if (rows.empty()) continue;
    const double mean = sum / n;
    for (const Measures& row : rows) squares += (row[m] - mean) * (row[m] - mean);
    each.percent = 100 * mean;
    if (rows.size() > 1) each.stderr_percent = 100 * std::sqrt(squares / (n - 1) / n);
  }

  const std::vector<Cluster> clusters = gather(rows, names);
  if (clusters.size() < 2) return result;
  std::array<std::vector<double>, kMeasures> means;
  for (auto& each : means) each.reserve(static_cast<size_t>(resamples));
  Draws draws(seed);
  for (int64_t resample = 0; resample < resamples; ++resample) {
    Cluster total;
    for (size_t drawn = 0; drawn < clusters.size(); ++drawn) {
      const Cluster& cluster = clusters[draws.below(clusters.size())];
      for (size_t m = 0; m < kMeasures; ++m) total.sums[m] += cluster.sums[m];
      total.rows += cluster.rows;
    }
    for (size_t m = 0; m < kMeasures; ++m) means[m].push_back(100 * total.sums[m] / total.rows);
  }
  for (size_t m = 0; m < kMeasures; ++m) result[m].ci95 = {percentile(means[m], 0.025), percentile(means[m], 0.975)};
  return result;
}

}  // namespace multimeditron
