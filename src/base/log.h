#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

namespace multimeditron {

/// The program's only global state: what is shown on standard error. Libraries return data; only notes and warnings go here.
enum class LogLevel { kQuiet, kNormal };
void set_log_level(LogLevel level);

/// One line on standard error, "note: ..." or "warning: ...", in colour on a terminal (NO_COLOR honoured). A given text is shown once.
void note(const std::string& text);
void warn(const std::string& text);

/// A line that stands at the bottom of the terminal (a progress line): `erase` is called before a note is written, `draw` after it. Both
/// empty: there is none any more. They may not log themselves.
void set_status_line(std::function<void()> erase, std::function<void()> draw);

/// `text` made harmless for a terminal: control characters other than tab and line break become their pictures (U+2400 and following), so
/// that data or a model's answer cannot move the cursor, set colours or name windows.
std::string printable(std::string_view text);

/// True where standard error (or output) is a terminal, TERM is not "dumb" and NO_COLOR is not set.
bool colour_on_stderr();
bool colour_on_stdout();
bool colour_on(int fd);

}  // namespace multimeditron
