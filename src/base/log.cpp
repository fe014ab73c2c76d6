#include "base/log.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>

namespace multimeditron {
namespace {

std::mutex mutex;
LogLevel level = LogLevel::kNormal;
std::function<void()> erase_status, draw_status;

void line(const char* name, const char* code, const std::string& raw) {
  const std::string text = printable(raw);
  static std::set<std::string> seen;
  const std::lock_guard lock(mutex);
  if (level == LogLevel::kQuiet || !seen.insert(text).second) return;
  const std::string message =
      colour_on_stderr() ? fmt::format("\x1b[{}m{}:\x1b[0m {}\n", code, name, text) : fmt::format("{}: {}\n", name, text);
  if (erase_status) erase_status();
  std::fwrite(message.data(), 1, message.size(), stderr);
  if (draw_status) draw_status();
}

}  // namespace

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

void set_log_level(LogLevel value) {
  const std::lock_guard lock(mutex);
  level = value;
}

void note(const std::string& text) {
  line("note", "36", text);
}

void warn(const std::string& text) {
  line("warning", "33", text);
}

void set_status_line(std::function<void()> erase, std::function<void()> draw) {
  const std::lock_guard lock(mutex);
  erase_status = std::move(erase);
  draw_status = std::move(draw);
}

bool colour_on(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return ::isatty(fd) != 0 && (no_color == nullptr || *no_color == '\0') && !(term != nullptr && std::string(term) == "dumb");
}

bool colour_on_stderr() {
  return colour_on(STDERR_FILENO);
}

bool colour_on_stdout() {
  return colour_on(STDOUT_FILENO);
}

}  // namespace multimeditron
