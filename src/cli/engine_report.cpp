#include <fmt/format.h>

#include "base/error.h"
#include "cli/engine.h"
#include "report/report.h"
#include "tracking/progress.h"

namespace multimeditron {

int run_report(const ReportCommand& command) {
  const ReportSummary summary = write_report(command.runs, command.output);
  std::string content;
  const auto tell = [&](size_t number, const char* what) {
    if (number == 0) return;
    content +=
        fmt::format("{}{} {}{}", content.empty() ? "" : ", ", format_count(static_cast<int64_t>(number)), what, number == 1 ? "" : "s");
  };
  tell(summary.num_runs, "training run");
  tell(summary.num_evaluations, "evaluation");
  tell(summary.num_samples, "sample");
  fmt::print("{} ({}): {}\n", summary.file.string(), format_bytes(summary.size_bytes), content.empty() ? "nothing has run yet" : content);
  return kExitDone;
}

}  // namespace multimeditron
