#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/output_mode.h"

namespace multimeditron {

/// What one optimizer step reports: the same record feeds the terminal and metrics.jsonl.
struct StepRecord {
  int64_t step = 0, total_steps = 0;
  double epoch = 0, loss = 0, grad_norm = 0, learning_rate = 0;
  int64_t tokens = 0, samples = 0;
  double seconds = 0;
  double data_wait_s = 0;            ///< of `seconds`: spent waiting for samples
  double tokens_per_s = 0;           ///< smoothed; terminal only
  std::vector<double> micro_losses;  ///< logging_level: micro
  std::vector<std::vector<int64_t>> micro_samples;
};

/// How far work that is counted has come: "images 120/900".
struct CountRecord {
  std::string what;  ///< of what there are `total`
  int64_t done = 0, total = 0;
  int64_t before = 0;  ///< of `done`: what was there when the clock started; set by Progress
};

/// The start header, a progress line that updates on a terminal (elsewhere a line every few seconds), notes that do not break it, and the
/// summary. On a terminal: colours unless NO_COLOR. kQuiet prints nothing but errors; kJson one JSON object a line on standard output:
/// steps as in metrics.jsonl with `total_steps`, all else with `event` (header, message or what `fields` names, summary). Notes and
/// warnings of base/log.h keep clear of the line. One object at a time; its methods may be called from any thread.
class Progress {
 public:
  explicit Progress(OutputMode mode, int fd = 1);
  ~Progress();
  void header(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);
  void step(const StepRecord& record);
  /// The same line for other long work. Another `what` begins a line of its own. JSON: `{"event": "progress", "what", "done", "total"}`.
  void count(const CountRecord& record);
  /// "saved checkpoint-10"; `fields` (an object) go to the JSON output only.
  void event(const std::string& text, const Json& fields = Json::object());
  void summary(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `metrics.jsonl`: one line an optimizer step with step, epoch, loss, grad_norm, learning_rate, tokens, samples, seconds, data_wait_s;
/// events carry `event`. A line is handed to the system whole as soon as it is written, so a kill loses none. Throws UserError (full disk).
class MetricsFile {
 public:
  /// Opens for appending; lines of steps after `resume_step` (and a torn last line) are cut off first, so that a step stands there once.
  /// `resume_step` 0 begins anew: an event written before the first step stays.
  MetricsFile(const std::filesystem::path& file, int64_t resume_step);
  ~MetricsFile();
  void step(const StepRecord& record);
  /// `fields` is an object; with a `step` the line is cut on resume like a step's.
  void event(const std::string& name, const Json& fields);
  /// Waits until all lines are on the disk: before a checkpoint that counts on them.
  void sync();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The line of metrics.jsonl: step, epoch, loss, grad_norm, learning_rate, tokens, samples, seconds, data_wait_s and, where there are some,
/// micro_losses and micro_samples.
Json to_json(const StepRecord& record);

/// "1 h 02 min", "3.4 s"; "1,234,567"; "4.02 B" (parameters); "1.3 GB"
std::string format_duration(double seconds);
std::string format_count(int64_t count);
std::string format_parameters(int64_t count);
std::string format_bytes(int64_t bytes);

}  // namespace multimeditron
