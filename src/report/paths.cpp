#include "report/paths.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace multimeditron {
namespace {

bool is_inside_path(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '.' || c == '_' || c == '-' || c == '~';
}

/// A path begins where no path's character stands before its slash: "x=/a", "//a", "file:///a"; but not at "b/a", nor at a URL's host.
bool may_begin_after(std::string_view before) {
  if (before.ends_with("://") || before.ends_with("file://localhost")) return true;
  if (before.ends_with(":/")) return false;
  while (before.ends_with('/')) before.remove_suffix(1);
  return before.empty() || !is_inside_path(before.back());
}

/// Whether `after` goes on below a folder whose path stands before it, or with something else than a path; a full stop ends a sentence.
bool may_end_before(std::string_view after) {
  if (after.starts_with('.'))
    after.remove_prefix(1);
  else if (after.starts_with('/'))
    return true;
  return after.empty() || !is_inside_path(after.front());
}

std::string home_of_account() {
  std::vector<char> buffer(1 << 14);
  passwd entry{}, *found = nullptr;
  ::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? "" : found->pw_dir;
}

}  // namespace

PathShortener::PathShortener(const std::vector<std::string>& folders, const std::vector<std::string>& homes) {
  for (const std::string& folder : folders) add(folder, ".");
  for (const std::string& home : homes) add(home, "~");
  std::stable_sort(prefixes_.begin(), prefixes_.end(), [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

void PathShortener::add(const std::string& folder, const char* replacement) {
  std::error_code code;
  for (std::filesystem::path path : {std::filesystem::path(folder).lexically_normal(), std::filesystem::weakly_canonical(folder, code)}) {
    if (!path.has_filename()) path = path.parent_path();
    if (path.is_absolute() && path.has_relative_path()) prefixes_.emplace_back(path.string(), replacement);
  }
}

PathShortener PathShortener::here(std::vector<std::string> folders) {
  std::error_code code;
  folders.push_back(std::filesystem::current_path(code).string());
  const char* home = std::getenv("HOME");
  return {folders, {home == nullptr ? "" : home, home_of_account()}};
}

std::string PathShortener::operator()(const std::string& text) const {
  const std::string_view whole = text;
  std::string result;
  for (size_t i = 0; i < text.size();) {
    const auto prefix = text[i] != '/' ? prefixes_.end() : std::find_if(prefixes_.begin(), prefixes_.end(), [&](const auto& each) {
      return whole.substr(i).starts_with(each.first) && may_begin_after(whole.substr(0, i)) &&
             may_end_before(whole.substr(i + each.first.size()));
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
