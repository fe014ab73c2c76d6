#pragma once

#include <string>
#include <string_view>

namespace multimeditron {

/// `text` made harmless for a terminal: control characters other than tab and line break become their pictures (U+2400 and following), so
/// that data or a model's answer cannot move the cursor, set colours or name windows.
std::string printable(std::string_view text);

/// Columns of the terminal behind `fd`, at most `limit`; 80 where it is none.
int terminal_width(int fd, int limit = 120);

/// ANSI styles, empty without colour.
struct Style {
  bool colour = false;
  /// `text` in the style `code` ("1;32"), ended after it.
  std::string operator()(const char* code, std::string_view text) const;
};

}  // namespace multimeditron
