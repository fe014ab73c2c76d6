#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace multimeditron {

/// Shortens absolute paths in texts that will be shown to others: below the working directory they become relative, below the home
/// directory they begin with `~`.
class PathShortener {
 public:
  PathShortener(const std::string& working_directory, const std::string& home);
  /// Of this process.
  static PathShortener here();

  std::string operator()(const std::string& text) const;
  /// Every string in `json`, at any depth, but none of its keys.
  void apply(Json& json) const;

 private:
  std::vector<std::pair<std::string, std::string>> prefixes_;  // longest first
};

}  // namespace multimeditron
