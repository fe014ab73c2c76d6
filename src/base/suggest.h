#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace multimeditron {

/// The candidate nearest to `word` (optimal string alignment distance), or nothing where none is near enough to be what was meant.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// "a, b or c"
std::string join_or(std::span<const std::string> words);

}  // namespace multimeditron
