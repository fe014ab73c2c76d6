#include "report/lines.h"

#include <algorithm>

namespace multimeditron {

std::vector<Json> json_lines(std::string_view text) {
  std::vector<Json> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    Json line = Json::parse(text.substr(0, end), nullptr, false);
    if (line.is_object()) lines.push_back(std::move(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace multimeditron
