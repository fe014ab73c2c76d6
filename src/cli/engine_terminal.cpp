#include "cli/engine_terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace multimeditron {

std::string printable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte >= 0x20 && byte != 0x7f && byte != 0xc2) || byte == '\n' || byte == '\t') {
      result += text[i];
    } else if (byte == 0xc2) {
      // U+0080 to U+009F are control characters too: some terminals read U+009B as the beginning of a command.
      const bool control = i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
      if (control) {
        result += "\xef\xbf\xbd";
        ++i;
      } else {
        result += text[i];
      }
    } else {
      result += "\xe2\x90";
      result += static_cast<char>(byte == 0x7f ? 0xa1 : 0x80 + byte);
    }
  }
  return result;
}

int terminal_width(int fd, int limit) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::min(80, limit);
  return std::min<int>(size.ws_col, limit);
}

std::string Style::operator()(const char* code, std::string_view text) const {
  return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

}  // namespace multimeditron
