#include "recipe/scan_view.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

namespace multimeditron {
namespace {

std::optional<double> number(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

std::span<const ScanWindow> scan_windows() {
  static constexpr std::array<ScanWindow, 9> kWindows = {{{"abdomen", 50, 350},
                                                          {"bone", 400, 1800},
                                                          {"brain", 40, 80},
                                                          {"liver", 60, 160},
                                                          {"lung", -600, 1500},
                                                          {"mediastinum", 40, 400},
                                                          {"soft_tissue", 40, 400},
                                                          {"stroke", 40, 40},
                                                          {"subdural", 75, 215}}};
  return kWindows;
}

std::span<const std::string> window_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all = {"file", "minmax", "percentile"};
    for (const ScanWindow& window : scan_windows()) all.emplace_back(window.name);
    return all;
  }();
  return names;
}

std::optional<ScanWindow> find_window(const std::string& window) {
  for (const ScanWindow& known : scan_windows()) {
    if (window == known.name) return known;
  }
  const size_t comma = window.find(',');
  if (comma == std::string::npos) return std::nullopt;
  const auto centre = number(std::string_view(window).substr(0, comma)), width = number(std::string_view(window).substr(comma + 1));
  if (!centre || !width || *width <= 0) return std::nullopt;
  return ScanWindow{"", *centre, *width};
}

bool is_slice(const std::string& slice) {
  if (slice == "middle") return true;
  int64_t index = 0;
  const auto [end, error] = std::from_chars(slice.data(), slice.data() + slice.size(), index);
  return error == std::errc() && end == slice.data() + slice.size() && index >= 0;
}

}  // namespace multimeditron
