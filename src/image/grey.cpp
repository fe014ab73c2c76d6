#include "image/grey.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/error.h"

namespace multimeditron {
namespace {

constexpr double kLowShare = 0.01, kHighShare = 0.99;

/// The value below which a share of them lies, between two of them in proportion (numpy's default). Sorts what it needs.
double quantile(std::vector<double>& values, double share) {
  const double at = share * static_cast<double>(values.size() - 1);
  const auto index = static_cast<std::ptrdiff_t>(at);
  std::nth_element(values.begin(), values.begin() + index, values.end());
  const double below = values[static_cast<size_t>(index)];
  if (index + 1 == static_cast<std::ptrdiff_t>(values.size())) return below;
  const double above = *std::min_element(values.begin() + index + 1, values.end());
  const double part = at - static_cast<double>(index);
  // numpy's lerp, which comes out the same from either end.
  return part >= 0.5 ? above - (above - below) * (1 - part) : below + (above - below) * part;
}

}  // namespace

GreyRule grey_rule(const VolumeOptions& options, std::span<const double> values) {
  if (options.window) return GreyRule::window(options.window->centre, options.window->width);
  if (options.shading == Shading::kPercentile) {
    std::vector<double> finite;
    finite.reserve(values.size());
    std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](double value) { return std::isfinite(value); });
    if (finite.empty()) return GreyRule::range(0, 0);
    const double low = quantile(finite, kLowShare);
    return GreyRule::range(low, quantile(finite, kHighShare));
  }
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return low <= high ? GreyRule::range(low, high) : GreyRule::range(0, 0);
}

std::vector<uint8_t> sixteen_bit_grey_to_rgb(std::span<const uint16_t> values, const VolumeOptions& options) {
  if (options.is_in_hounsfield) {
    throw UserError("a CT window needs Hounsfield units",
                    {.found = "16-bit grey, whose values have no unit",
                     .fix = "set `window` to minmax, percentile or a [centre, width] of these values"});
  }
  const GreyRule rule = grey_rule(options, std::vector<double>(values.begin(), values.end()));
  std::vector<uint8_t> table(65536);
  for (size_t value = 0; value < table.size(); ++value) table[value] = rule(static_cast<double>(value));
  std::vector<uint8_t> rgb;
  rgb.reserve(values.size() * 3);
  for (const uint16_t value : values) rgb.insert(rgb.end(), 3, table[value]);
  return rgb;
}

}  // namespace multimeditron
