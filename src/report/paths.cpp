#include "report/paths.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

namespace multimeditron {
namespace {

/// A path in a text begins where no path's character stands before it.
bool is_inside_path(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '.' || c == '_' || c == '-' || c == '~';
}

std::string without_last_slash(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
}

}  // namespace

PathShortener::PathShortener(const std::string& working_directory, const std::string& home) {
  for (const auto& [folder, replacement] : {std::pair(working_directory, "."), std::pair(home, "~")}) {
    const std::string path = without_last_slash(folder);
    if (path.size() > 1 && path.front() == '/') prefixes_.emplace_back(path, replacement);
  }
  std::stable_sort(prefixes_.begin(), prefixes_.end(), [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

PathShortener PathShortener::here() {
  std::error_code code;
  const char* home = std::getenv("HOME");
  return {std::filesystem::current_path(code).string(), home == nullptr ? "" : home};
}

std::string PathShortener::operator()(const std::string& text) const {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const bool starts = text[i] == '/' && (i == 0 || !is_inside_path(text[i - 1]));
    const auto prefix = !starts ? prefixes_.end() : std::find_if(prefixes_.begin(), prefixes_.end(), [&](const auto& each) {
      if (text.compare(i, each.first.size(), each.first) != 0) return false;
      const size_t end = i + each.first.size();
      return end == text.size() || text[end] == '/' || !is_inside_path(text[end]);
    });
    if (prefix == prefixes_.end()) {
      result += text[i++];
      continue;
    }
    i += prefix->first.size();
    const bool goes_on = i + 1 < text.size() && text[i] == '/' && is_inside_path(text[i + 1]);
    if (prefix->second == "." && goes_on) {
      ++i;  // "runs/stage2", not "./runs/stage2"
    } else {
      result += prefix->second;
    }
  }
  return result;
}

void PathShortener::apply(Json& json) const {
  if (json.is_string()) {
    json = (*this)(json.get_ref<const std::string&>());
  } else if (json.is_structured()) {
    for (Json& each : json) apply(each);
  }
}

}  // namespace multimeditron
