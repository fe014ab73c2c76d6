#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace multimeditron {

/// Shortens absolute paths in texts that will be shown to others: below one of `folders` they become relative to it, below one of `homes`
/// they begin with `~`. Each of these is known as it is written and with its links followed.
class PathShortener {
 public:
  PathShortener(const std::vector<std::string>& folders, const std::vector<std::string>& homes);
  /// Of this process: its working directory and `folders`; the home that HOME names and the one of the user's account.
  static PathShortener here(std::vector<std::string> folders = {});

  std::string operator()(const std::string& text) const;
  /// Every string in `json`, at any depth, but none of its keys.
  void apply(Json& json) const;

 private:
  void add(const std::string& folder, const char* replacement);

  std::vector<std::pair<std::string, std::string>> prefixes_;  // longest first
};

}  // namespace multimeditron
