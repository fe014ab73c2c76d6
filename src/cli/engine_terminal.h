#pragma once

#include <string>
#include <string_view>

namespace multimeditron {

/// Columns of the terminal behind `fd`, at most `limit`; 80 where it is none.
int terminal_width(int fd, int limit = 120);

/// ANSI styles, empty without colour.
struct Style {
  bool colour = false;
  /// `text` in the style `code` ("1;32"), ended after it.
  std::string operator()(const char* code, std::string_view text) const;
};

}  // namespace multimeditron
