#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/signals.h"
#include "checkpoint/folder.h"
#include "cli/engine.h"
#include "cli/engine_model.h"
#include "data/image_loader.h"
#include "evaluation/answering.h"
#include "evaluation/attention.h"
#include "evaluation/summary.h"
#include "evaluation/table.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// RUN/evaluation for RUN/checkpoint-N; a model that belongs to no run gives the folder no place, so the working directory has to.
fs::path output_folder(const EvaluateCommand& command, const fs::path& checkpoint) {
  if (!command.output.empty()) return command.output;
  const fs::path folder = checkpoint.has_filename() ? checkpoint : checkpoint.parent_path();
  return folder.filename().string().starts_with("checkpoint-") ? fs::absolute(folder).parent_path() / "evaluation" : fs::path("evaluation");
}

/// What an earlier evaluation has written there: tasks that are not evaluated again stay.
Json earlier_results(const fs::path& file) {
  if (!fs::exists(file)) return Json::object();
  const Json results = read_json(file);
  if (results.is_object()) return results;
  throw UserError("these results cannot be added to", {.where = file.string(),
                                                       .found = fmt::format("a value of type {}", results.type_name()),
                                                       .fix = "move the file away, or choose another folder with `--output`"});
}

std::string attention_name(const std::string& task) {
  return fmt::format("attention-{}.json", task);
}

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// Tells of the unusable rows from number `first` on: of a few in full.
void report_unusable(const Task& task, size_t first = 0) {
  constexpr size_t kShown = 5;
  const size_t count = task.unusable.size() - first;
  for (size_t i = 0; i < std::min(kShown, count); ++i) {
    const UnusableRow& row = task.unusable[first + i];
    warn(fmt::format("{}, line {}: left out{}{}: {}", task.file.string(), row.line, row.image.empty() ? "" : ", ", row.image, row.reason));
  }
  if (count > kShown) warn(fmt::format("{}: {} more rows left out; results.json lists them", task.file.string(), count - kShown));
}

Json unusable_rows(const Task& task) {
  Json rows = Json::array();
  for (const UnusableRow& row : task.unusable)
    rows.push_back({{"id", row.id}, {"line", row.line}, {"image", row.image}, {"reason", row.reason}});
  return rows;
}

Json attention_samples(const Pretrained& pretrained, const Task& task, std::span<const RowAnswers> answers,
                       const EvaluateCommand& command) {
  Json samples = Json::array();
  for (const size_t row : rows_to_show(task.rows, command.attention, static_cast<uint64_t>(command.seed)))
    samples.push_back(to_json(attention_on_image(pretrained, task.rows[row], task.view), task.rows[row], answers[row].answer));
  return {{"samples", samples}};
}

/// Answers a task and writes its predictions. Gives its entry of results.json.
Json evaluate_task(const Pretrained& pretrained, const fs::path& checkpoint, Task& task, const fs::path& output,
                   const EvaluateCommand& command, Progress& progress, Answering& answering, std::string& shown) {
  const auto start = std::chrono::steady_clock::now();
  const AnsweringOptions options{.batch_size = command.batch_size,
                                 .max_new_tokens = command.max_new_tokens,
                                 .with_baselines = command.baselines,
                                 .seed = static_cast<uint64_t>(command.seed)};
  const size_t bad_images = task.unusable.size();
  try {
    answering = answer_task(pretrained, task, options, [&](int64_t done, int64_t total) {
      if (stop_requested()) throw Interrupted();  // of a demo, whose trainings have taken the signals
      progress.count({.what = task.name + ": answers", .done = done, .total = total});
    });
  } catch (const UserError& error) {
    if (!error.details().where.empty()) throw;
    throw error.at(checkpoint.string());
  }
  if (task.unusable.size() > bad_images) report_unusable(task, bad_images);
  const double seconds = seconds_since(start);
  const TaskSummary summary = summarise(task, answering.rows, static_cast<uint64_t>(command.seed));

  Json entry = to_json(summary);
  entry["data"] = task.file.string();
  if (!command.data_root.empty()) entry["data_root"] = fs::absolute(command.data_root).lexically_normal().string();  // the report reads it
  entry["model"] = fs::absolute(checkpoint).lexically_normal().string();
  entry["seconds"] = seconds;
  entry["generated_tokens"] = answering.generated_tokens;
  entry["images"] = summary.num_images;
  entry["unusable"] = unusable_rows(task);
  entry["settings"] = {{"max_new_tokens", command.max_new_tokens},
                       {"dtype", pretrained.model->dtype() == at::kFloat ? "float32" : "bfloat16"},
                       {"seed", command.seed},
                       {"limit", command.limit ? Json(*command.limit) : Json()},
                       {"window", command.scan.window}};
  write_file_atomic(output / fmt::format("predictions-{}.jsonl", task.name), predictions_jsonl(task, answering.rows));
  fs::remove(output / attention_name(task.name));  // of an earlier evaluation
  shown += score_table(task, summary, colour_on_stdout()) + "\n";
  return entry;
}

/// Tasks with their images checked, before the model is loaded: their mistakes are told first.
std::vector<Task> read_tasks(const EvaluateCommand& command, Progress& progress) {
  std::vector<Task> tasks;
  for (const EvaluateCommand::Source& source : command.tasks)
    tasks.push_back(read_task(source.name, source.file, command.data_root, command.limit));
  for (Task& task : tasks) {
    task.view = volume_options(command.scan);
    check_images(task,
                 [&](int64_t done, int64_t total) { progress.count({.what = task.name + ": images", .done = done, .total = total}); });
    require_usable(task);
    if (!task.unusable.empty()) report_unusable(task);
  }
  return tasks;
}

}  // namespace

int run_evaluate(const EvaluateCommand& command) {
  const fs::path checkpoint = find_model(command.model);
  if (command.tokenizer_type) note("`--tokenizer-type` is not needed to evaluate: the chat template says how turns look");
  const fs::path output = output_folder(command, checkpoint);
  std::error_code code;
  fs::create_directories(output, code);
  if (code) throw_file_error("create", output, code.value());
  Json results = earlier_results(output / "results.json");

  std::string shown;
  Json evaluated = Json::object();
  {
    Progress progress(command.mode == OutputMode::kJson ? OutputMode::kQuiet : command.mode);
    std::vector<Task> tasks = read_tasks(command, progress);
    const bool has_eyes = takes_images(checkpoint);
    for (const Task& task : tasks) require_sight(task, has_eyes);
    const Pretrained pretrained = load_checkpoint(checkpoint, dtype_for(command.dtype, checkpoint));
    if (!pretrained.tokenizer->has_chat_template())
      note(fmt::format("{}: no chat template, so the questions stand alone", checkpoint.string()));
    for (Task& task : tasks) {
      Answering answering;
      evaluated[task.name] = evaluate_task(pretrained, checkpoint, task, output, command, progress, answering, shown);
      results[task.name] = evaluated[task.name];
      write_file_atomic(output / "results.json", dump(results, 2));
      const Json samples = attention_samples(pretrained, task, answering.rows, command);
      if (!samples["samples"].empty()) write_file_atomic(output / attention_name(task.name), dump(samples, -1));
    }
  }
  if (command.mode == OutputMode::kJson) {
    std::fputs(dump(evaluated, -1).c_str(), stdout);
    return kExitDone;
  }
  std::fputs(((command.mode == OutputMode::kQuiet ? "" : "\n") + shown).c_str(), stdout);
  fmt::print("written to {}: results.json", output.string());
  for (const EvaluateCommand::Source& task : command.tasks) {
    fmt::print(", predictions-{}.jsonl", task.name);
    if (const std::string attention = attention_name(task.name); fs::exists(output / attention)) fmt::print(", {}", attention);
  }
  fmt::print("\n");
  return kExitDone;
}

}  // namespace multimeditron
