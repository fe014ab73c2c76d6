#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace multimeditron {

/// What write_report() has made.
struct ReportSummary {
  std::filesystem::path file;
  int64_t size_bytes = 0;
  size_t num_runs = 0;         ///< training runs
  size_t num_evaluations = 0;  ///< tasks of evaluations
  size_t num_samples = 0;      ///< answered questions, of which the page shows at most kMaxReportSamples
};

/// Of an evaluation with more, the page shows the first.
inline constexpr size_t kMaxReportSamples = 5000;

/// Writes one self-contained HTML page about `folders`: training runs (metrics.jsonl), evaluations (results.json), demos (demo.json), or
/// folders with some of these at most two levels below. It needs no network and holds no path of the user's home. A run that is unfinished,
/// even one that is being written, is shown as far as it came. `output` empty: report.html inside the first folder. Throws UserError: a
/// folder that is none of these, a file of one that cannot be read.
ReportSummary write_report(std::span<const std::filesystem::path> folders, const std::filesystem::path& output = {});

}  // namespace multimeditron
