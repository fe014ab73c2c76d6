#include "cli/engine_terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace multimeditron {

int terminal_width(int fd, int limit) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::min(80, limit);
  return std::min<int>(size.ws_col, limit);
}

std::string Style::operator()(const char* code, std::string_view text) const {
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

}  // namespace multimeditron
