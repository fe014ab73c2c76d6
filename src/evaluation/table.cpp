#include "evaluation/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "tracking/line.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

constexpr size_t kWidestName = 28;

/// At most `width` columns; the end is cut off. Control characters, which a task's file may hold, are made visible.
std::string fitted(const std::string& raw, size_t width) {
  std::string text = printable(raw);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  std::string result;
  size_t used = 0;
  for (const char c : text) {
    const bool starts = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (starts && used == width) break;
    used += starts;
    result += c;
  }
  return result;
}

std::string interval(const Estimate& estimate) {
  if (!estimate.ci95) return "";
  return fmt::format("[{:.1f}, {:.1f}]", (*estimate.ci95)[0], (*estimate.ci95)[1]);
}

std::string line(const std::string& name, size_t width, const GroupSummary& group, const TaskSummary& summary) {
  const std::string shown = fitted(name, width);
  std::string text = fmt::format("  {}{}  {:>7}  {:>8.1f}  {:<14}  {:>8.1f}", shown, std::string(width - columns(shown), ' '),
                                 format_count(group.model.n), group.model.percent, interval(group.model), group.majority.percent);
  if (summary.has_blind) text += fmt::format("  {:>7.1f}", group.blind.percent);
  if (summary.has_swapped) text += fmt::format("  {:>7.1f}", group.swapped.percent);
  return text;
}

}  // namespace

std::string score_table(const Task& task, const TaskSummary& summary, bool colour) {
  const auto paint = [&](const char* code, const std::string& text) {
    return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  };
  size_t width = 4;
  for (const GroupSummary& group : summary.groups) width = std::max(width, columns(fitted(group.value, kWidestName)));

  std::string title = fmt::format("{}: {} questions on {} images", task.name, format_count(static_cast<int64_t>(task.rows.size())),
                                  format_count(summary.num_images));
  if (!task.unusable.empty())
    title +=
        fmt::format(", {} row{} left out", format_count(static_cast<int64_t>(task.unusable.size())), task.unusable.size() == 1 ? "" : "s");
  std::string head = fmt::format("  {:<{}}  {:>7}  {:>8}  {:<14}  {:>8}", "kind", width, "n", "accuracy", "95 % interval", "majority");
  if (summary.has_blind) head += fmt::format("  {:>7}", "blind");
  if (summary.has_swapped) head += fmt::format("  {:>7}", "swapped");

  std::string text = paint("1", title) + "\n" + paint("2", head) + "\n";
  const bool one_kind = summary.groups.size() == 1;  // which says the same as all
  for (const GroupSummary& group : summary.groups)
    if (group.breakdown == "kind" && !one_kind) text += line(group.value, width, group, summary) + "\n";
  return text + paint("1", line("all", width, summary.overall, summary)) + "\n";
}

}  // namespace multimeditron
