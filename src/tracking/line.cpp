#include "tracking/line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace multimeditron {
namespace {

constexpr const char* kBold = "1";
constexpr const char* kDim = "2";
constexpr const char* kBarColour = "36";

std::string paint(const std::string& text, const char* code, const LineStyle& style) {
  return style.colour && !text.empty() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
}

std::string repeat(const char* text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

double share_done(int64_t done, int64_t total) {
  if (total <= 0) return 0;
  return std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
}

std::string position(int64_t done, int64_t total) {
  const std::string last = fmt::format("{}", total);
  return fmt::format("{:>{}}/{}", done, last.size(), last);
}

/// Rounded down: 100 % is said when all is done.
std::string percent(double share) {
  return fmt::format("{:3}%", static_cast<int>(std::floor(share * 100)));
}

std::string loss_text(double loss) {
  return std::abs(loss) < 1000 ? fmt::format("{:.4f}", loss) : fmt::format("{:.3e}", loss);
}

std::string norm_text(double norm) {
  return std::abs(norm) < 1000 ? fmt::format("{:.3f}", norm) : fmt::format("{:.2e}", norm);
}

std::string time_text(double elapsed_s, double remaining_s) {
  if (remaining_s == 0) return format_clock(elapsed_s);
  return fmt::format("{}<{}", format_clock(elapsed_s), remaining_s < 0 ? "?" : format_clock(remaining_s));
}

/// "12.3k": what changes at every step should not change its width.
std::string speed_text(double tokens_per_s) {
  if (tokens_per_s < 1000) return fmt::format("{:.0f}", tokens_per_s);
  if (tokens_per_s < 999'950) return fmt::format("{:.1f}k", tokens_per_s / 1e3);
  return fmt::format("{:.2f}M", tokens_per_s / 1e6);
}

/// Items a second, which may be far below one.
std::string rate_text(int64_t done, double elapsed_s) {
  const double rate = static_cast<double>(done) / elapsed_s;
  return (rate < 10 ? fmt::format("{:.{}f}", rate, rate < 1 ? 2 : 1) : speed_text(rate)) + "/s";
}

std::string bar(double share, size_t width, const LineStyle& style) {
  const size_t halves = static_cast<size_t>(std::floor(share * static_cast<double>(2 * width)));
  const size_t full = halves / 2;
  if (!style.unicode) {
    std::string filled = repeat("=", full);
    if (full < width && full > 0) filled.back() = '>';
    return "[" + paint(filled, kBarColour, style) + repeat(" ", width - full) + "]";
  }
  const bool half = halves % 2 == 1;
  return paint(repeat("━", full) + (half ? "╸" : ""), kBarColour, style) + paint(repeat("─", width - full - half), kDim, style);
}

struct Piece {
  std::string label, value;
  int importance = 0;  // the smallest leaves first
  size_t width() const { return columns(label) + (label.empty() ? 0 : 1) + columns(value); }
};

constexpr int kBar = 2;  // the importance of the bar, and what tells it from the other pieces

/// What fits of `pieces` into one line, the bar as wide as there is room for. The first piece stays longest.
std::string fit(std::vector<Piece> pieces, double share, const LineStyle& style) {
  constexpr size_t kSmallestBar = 8, kLargestBar = 30, kGap = 2;
  // One column stays free: a terminal that is filled to the last one wraps.
  const size_t available = style.width > 1 ? style.width - 1 : 1;
  const size_t brackets = style.unicode ? 0 : 2;
  const auto needed = [&] {
    size_t sum = 0;
    for (const Piece& piece : pieces) sum += (piece.importance == kBar ? kSmallestBar + brackets : piece.width()) + kGap;
    return sum - kGap;
  };
  while (pieces.size() > 1 && needed() > available)
    pieces.erase(
        std::min_element(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.importance < b.importance; }));
  if (needed() > available) return pieces.front().value.substr(0, available);

  const size_t bar_width = std::min(kLargestBar, kSmallestBar + available - needed());
  std::string line;
  for (const Piece& piece : pieces) {
    const bool first = line.empty();
    if (!first) line += repeat(" ", kGap);
    if (piece.importance == kBar) {
      line += bar(share, bar_width, style);
      continue;
    }
    if (!piece.label.empty()) line += paint(piece.label, kDim, style) + " ";
    line += piece.label == "loss" || first ? paint(piece.value, kBold, style) : piece.value;
  }
  return line;
}

}  // namespace

size_t columns(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string format_clock(double seconds) {
  const int64_t total = std::isfinite(seconds) && seconds > 0 ? static_cast<int64_t>(std::min(seconds, 3.6e9)) : 0;
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

std::string terminal_line(const StepRecord& record, double elapsed_s, double remaining_s, const LineStyle& style) {
  const double share = share_done(record.step, record.total_steps);
  std::vector<Piece> pieces = {{"", position(record.step, record.total_steps), 9},
                               {"", percent(share), 1},
                               {"", "", kBar},
                               {"loss", loss_text(record.loss), 8},
                               {"lr", fmt::format("{:.2e}", record.learning_rate), 4},
                               {"norm", norm_text(record.grad_norm), 3}};
  if (record.tokens_per_s > 0) pieces.push_back({"", speed_text(record.tokens_per_s) + " tok/s", 5});
  pieces.push_back({"", time_text(elapsed_s, remaining_s), 7});
  return fit(std::move(pieces), share, style);
}

std::string terminal_line(const CountRecord& record, double elapsed_s, double remaining_s, const LineStyle& style) {
  const double share = share_done(record.done, record.total);
  std::vector<Piece> pieces = {{"", position(record.done, record.total), 9}, {"", record.what, 8}, {"", percent(share), 1}, {"", "", kBar}};
  if (record.done > record.before && elapsed_s > 0) pieces.push_back({"", rate_text(record.done - record.before, elapsed_s), 5});
  pieces.push_back({"", time_text(elapsed_s, remaining_s), 7});
  return fit(std::move(pieces), share, style);
}

std::string log_line(const StepRecord& record, double elapsed_s, double remaining_s) {
  std::string line = fmt::format("step {} {}  loss {}  lr {:.2e}  grad norm {}", position(record.step, record.total_steps),
                                 percent(share_done(record.step, record.total_steps)), loss_text(record.loss), record.learning_rate,
                                 norm_text(record.grad_norm));
  if (record.tokens_per_s > 0) line += fmt::format("  {} tokens/s", format_count(std::llround(record.tokens_per_s)));
  return line + "  " + time_text(elapsed_s, remaining_s);
}

std::string log_line(const CountRecord& record, double elapsed_s, double remaining_s) {
  std::string line =
      fmt::format("{} {} {}", record.what, position(record.done, record.total), percent(share_done(record.done, record.total)));
  if (record.done > record.before && elapsed_s > 0) line += "  " + rate_text(record.done - record.before, elapsed_s);
  return line + "  " + time_text(elapsed_s, remaining_s);
}

std::string table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows, const LineStyle& style) {
  size_t key_width = 0;
  for (const auto& [key, value] : rows) key_width = std::max(key_width, columns(key));
  const size_t indent = 2 + key_width + 2;
  const size_t value_width = style.width > indent + 20 ? style.width - indent - 1 : SIZE_MAX;

  std::string text = paint(title, kBold, style) + "\n";
  for (const auto& [key, value] : rows) {
    text += "  " + paint(key, kDim, style) + repeat(" ", key_width - columns(key) + 2);
    size_t used = 0;
    for (size_t begin = 0; begin <= value.size();) {
      const size_t end = std::min(value.find_first_of(" \n", begin), value.size());
      const std::string word = value.substr(begin, end - begin);
      if (used > 0 && used + 1 + columns(word) > value_width) {
        text += "\n" + repeat(" ", indent);
        used = 0;
      } else if (begin > 0) {
        text += " ";
        ++used;
      }
      text += word;
      used += columns(word);
      if (end < value.size() && value[end] == '\n') {
        text += "\n" + repeat(" ", indent - 1);  // the space before the next word completes the indent
        used = 0;
      }
      begin = end + 1;
    }
    text += "\n";
  }
  return text;
}

}  // namespace multimeditron
