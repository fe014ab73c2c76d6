#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace multimeditron {

enum class OutputMode { kNormal, kQuiet, kJson };

/// What one optimizer step reports: the same record feeds the terminal and metrics.jsonl.
struct StepRecord {
  int64_t step = 0, total_steps = 0;
  double epoch = 0, loss = 0, grad_norm = 0, learning_rate = 0;
  int64_t tokens = 0, samples = 0;
  double seconds = 0;
  double tokens_per_s = 0;              ///< smoothed; terminal only
  std::vector<double> micro_losses;     ///< logging_level: micro
  std::vector<std::vector<int64_t>> micro_samples;
};

/// The start header, a progress line that updates on a terminal (elsewhere a line every few seconds), notes that do not break it, and the
/// summary. On a terminal: colours unless NO_COLOR. kQuiet prints nothing but errors; kJson one JSON object a line on standard output.
class Progress {
 public:
  explicit Progress(OutputMode mode);
  ~Progress();
  void header(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);
  void step(const StepRecord& record);
  void event(const std::string& text, const Json& fields = {});   ///< "saved checkpoint-10"
  void summary(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `metrics.jsonl`: one line an optimizer step with step, epoch, loss, grad_norm, learning_rate, tokens, samples, seconds; events carry `event`.
class MetricsFile {
 public:
  /// Opens for appending; lines of steps after `resume_step` (and a torn last line) are cut off first, so that a step stands there once.
  MetricsFile(const std::filesystem::path& file, int64_t resume_step);
  ~MetricsFile();
  void step(const StepRecord& record);
  void event(const std::string& name, const Json& fields);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "1 h 02 min", "3.4 s"; "1,234,567"; "4.02 B" (parameters); "1.3 GB"
std::string format_duration(double seconds);
std::string format_count(int64_t count);
std::string format_parameters(int64_t count);
std::string format_bytes(int64_t bytes);

}  // namespace multimeditron
