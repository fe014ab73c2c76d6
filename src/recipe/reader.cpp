#include "recipe/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace multimeditron {

void Reader::mistake(const Origin& origin, const std::string& message, const std::string& found, const std::string& fix) {
  mistakes_.push_back({origin, UserError(message, {.where = origin.text, .found = found, .fix = fix})});
}

void Reader::mistake_at(const std::string& path, const std::string& message, const std::string& found, const std::string& fix) {
  mistake(origin(path), message, found, fix);
  fail(path);
}

void Reader::note(const Origin& origin, const std::string& text) {
  notes.push_back(fmt::format("{}: {}", origin.text, text));
}

void Reader::warn(const Origin& origin, const std::string& text) {
  warnings.push_back(fmt::format("{}: {}", origin.text, text));
}

Origin Reader::origin(std::string path) const {
  while (true) {
    const auto found = origins_.find(path);
    if (found != origins_.end()) return found->second;
    if (path.empty()) return {};
    const size_t dot = path.rfind('.');
    path = dot == std::string::npos ? "" : path.substr(0, dot);
  }
}

std::vector<UserError> Reader::mistakes() const {
  std::vector<Mistake> sorted = mistakes_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Mistake& a, const Mistake& b) {
    return std::tie(a.origin.line, a.origin.column) < std::tie(b.origin.line, b.origin.column);
  });
  std::vector<UserError> errors;
  for (Mistake& each : sorted) errors.push_back(std::move(each.error));
  return errors;
}

}  // namespace multimeditron
