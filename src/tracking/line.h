#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tracking/progress.h"

namespace multimeditron {

/// How text may look where it goes.
struct LineStyle {
  size_t width = 80;     ///< columns; what does not fit is left out, the least important first
  bool colour = false;   ///< ANSI colours
  bool unicode = false;  ///< a bar of line-drawing characters instead of ASCII
};

/// The updating line of a terminal: position, bar, loss, rate, gradient norm, speed, "elapsed<remaining". `remaining_s` < 0:
/// not known yet; 0: done.
std::string terminal_line(const StepRecord& record, double elapsed_s, double remaining_s, const LineStyle& style);

/// The same for a log file: no bar, words in full.
std::string log_line(const StepRecord& record, double elapsed_s, double remaining_s);

/// Both for work that is counted: position, bar, speed, "elapsed<remaining".
std::string terminal_line(const CountRecord& record, double elapsed_s, double remaining_s, const LineStyle& style);
std::string log_line(const CountRecord& record, double elapsed_s, double remaining_s);

/// A title and below it aligned "key  value" rows; values longer than the width go on under their column.
std::string table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows, const LineStyle& style);

/// Columns of UTF-8 text whose characters are one column wide each.
size_t columns(const std::string& text);

/// "7:05", "1:02:03"
std::string format_clock(double seconds);

}  // namespace multimeditron
