#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace multimeditron {

/// A mean over rows, in percent, with its uncertainty.
struct Estimate {
  int64_t n = 0;
  double percent = 0;                         ///< 0 where there are no rows
  std::optional<double> stderr_percent;       ///< s / sqrt(n), s with n - 1, rows taken as independent; none for n < 2
  std::optional<std::array<double, 2>> ci95;  ///< bootstrap over clusters; none for fewer than 2 clusters
};

inline constexpr size_t kMeasures = 7;
using Measures = std::array<double, kMeasures>;

/// Estimates of several measures of the same rows: `rows[i][m]` is row i's score by measure m, in [0, 1] (or a difference of two scores).
/// `clusters[i]`: what row i belongs to (its image). The interval is the percentile bootstrap over clusters: `resamples` times as many
/// clusters are drawn with replacement as there are, all rows of a cluster together, and the mean over the drawn rows is taken; the 2.5th
/// and 97.5th percentile (linear between order statistics) bound the interval. All measures see the same draws, so that a difference of two
/// measures is paired. The draws depend on `seed` and the number of clusters alone, which are numbered in the order of their first row.
std::array<Estimate, kMeasures> estimate(std::span<const Measures> rows, std::span<const std::string> clusters, uint64_t seed,
                                         int64_t resamples = 10'000);

}  // namespace multimeditron
