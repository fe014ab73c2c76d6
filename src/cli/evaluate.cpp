#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "base/suggest.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

struct Options {
  EvaluateCommand command;
  std::vector<std::string> tasks, data;
  std::string data_root, output, batch_size = "auto", tokenizer_type, dtype = "auto";
  int64_t limit = 0;
  bool no_baselines = false, quiet = false, json = false;
};

using Source = EvaluateCommand::Source;

bool is_file(const fs::path& path) {
  std::error_code code;
  return fs::is_regular_file(path, code);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  std::erase(parts, "");
  return parts;
}

/// The tasks that `--data NAME=FILE` name.
std::vector<Source> read_data(const std::vector<std::string>& data) {
  std::vector<Source> sources;
  for (const std::string& each : data) {
    const size_t equals = each.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == each.size())
      throw UserError("`--data` takes a name and a file", {.found = fmt::format("`{}`", each), .fix = "--data NAME=FILE"});
    sources.push_back({each.substr(0, equals), each.substr(equals + 1)});
  }
  return sources;
}

/// What a word of `--tasks` stands for: a name of `--data`, a file, or DIR/NAME.jsonl of `--data-root DIR`.
Source find_task(const std::string& word, const std::vector<Source>& data, const fs::path& root) {
  for (const Source& each : data)
    if (each.name == word) return each;
  for (const char* extension : {".jsonl", ".tsv", ".csv"})
    if (word.ends_with(extension)) return {fs::path(word).stem().string(), word};
  if (!root.empty() && is_file(root / (word + ".jsonl"))) return {word, root / (word + ".jsonl")};
  std::vector<std::string> names;
  for (const Source& each : data) names.push_back(each.name);
  const auto near = nearest(word, names);
  const std::string where = root.empty() ? "" : fmt::format("no {}; ", (root / (word + ".jsonl")).string());
  throw UserError(
      fmt::format("unknown task `{}`", word),
      {.found = where + (names.empty() ? "no `--data` names it" : fmt::format("`--data` names {}", fmt::join(names, ", "))),
       .fix = near ? fmt::format("did you mean `{}`?", *near) : fmt::format("say where its questions are: --data {}=FILE", word)});
}

/// Names become parts of file names.
void check_name(const std::string& name) {
  const auto is_fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  if (std::all_of(name.begin(), name.end(), is_fine)) return;
  throw UserError("a task's name becomes part of a file's name",
                  {.found = fmt::format("`{}`", name), .fix = "use letters, digits, `_`, `-`, `.`: --data NAME=FILE names it"});
}

std::vector<Source> find_tasks(const Options& options) {
  const std::vector<Source> data = read_data(options.data);
  std::vector<Source> tasks;
  for (const std::string& list : options.tasks)
    for (const std::string& word : split(list)) tasks.push_back(find_task(word, data, options.data_root));
  if (options.tasks.empty()) tasks = data;
  require_option(!tasks.empty(), "--tasks", "multimeditron evaluate --model CKPT --tasks test.jsonl");
  for (size_t i = 0; i < tasks.size(); ++i) {
    check_name(tasks[i].name);
    for (size_t k = 0; k < i; ++k)
      if (tasks[k].name == tasks[i].name)
        throw UserError("two tasks have the same name", {.found = fmt::format("{} and {}", tasks[k].file.string(), tasks[i].file.string()),
                                                         .fix = "name one of them: --data NAME=FILE"});
    if (!is_file(tasks[i].file))
      throw UserError(fmt::format("the file of the task `{}` is missing", tasks[i].name),
                      {.where = tasks[i].file.string(), .found = "no such file", .fix = "check the path"});
  }
  return tasks;
}

int64_t read_batch_size(const std::string& text) {
  if (text == "auto") return 0;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require_range(error == std::errc() && end == text.data() + text.size() && value >= 1, "--batch-size", text, "auto, or 1 or more");
  return value;
}

int evaluate(const CLI::App& app, const Options& options) {
  EvaluateCommand command = options.command;
  require_option(!command.model.empty(), "--model", "name a checkpoint, a run's folder or a hub id");
  if (options.quiet && options.json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
  require_range(command.max_new_tokens >= 1, "--max-new-tokens", fmt::format("{}", command.max_new_tokens), "1 or more");
  require_range(command.attention >= 0, "--attention", fmt::format("{}", command.attention), "0 (none) or more");
  require_range(command.seed >= 0, "--seed", fmt::format("{}", command.seed), "0 or more");
  if (app.get_option("--limit")->count() > 0) {
    require_range(options.limit >= 1, "--limit", fmt::format("{}", options.limit), "1 or more");
    command.limit = options.limit;
  }
  check_scan_options(command.scan);
  command.batch_size = read_batch_size(options.batch_size);
  require_choice("--dtype", options.dtype, std::vector<std::string>{"auto", "bf16", "fp32"});
  if (options.dtype == "bf16") command.dtype = GenerateCommand::Dtype::kBf16;
  if (options.dtype == "fp32") command.dtype = GenerateCommand::Dtype::kFp32;
  if (!options.tokenizer_type.empty()) {
    require_choice("--tokenizer-type", options.tokenizer_type, std::vector<std::string>{"llama", "apertus", "qwen3", "auto"});
    command.tokenizer_type = parse_tokenizer_type(options.tokenizer_type);
  }
  command.tasks = find_tasks(options);
  command.data_root = options.data_root;
  command.output = options.output;
  command.baselines = !options.no_baselines;
  command.mode = options.json ? OutputMode::kJson : options.quiet ? OutputMode::kQuiet : OutputMode::kNormal;
  if (options.quiet) set_log_level(LogLevel::kQuiet);
  return run_engine(command);
}

}  // namespace

void add_evaluate(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  EvaluateCommand& command = options->command;
  CLI::App* evaluate_app = add_subcommand(app, "evaluate", "Score a model's answers, beside what it reaches without looking",
                                          "multimeditron evaluate --model runs/stage2 --tasks test.jsonl");
  evaluate_app->add_option("--model", command.model, "Checkpoint, run folder (its newest checkpoint) or hub id")->type_name("CKPT");
  evaluate_app->add_option("--tasks", options->tasks, "Files of questions, or names given with --data; several with commas")
      ->type_name("FILE")
      ->allow_extra_args(false);
  evaluate_app->add_option("--data", options->data, "The file of a task; repeat for several")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  evaluate_app->add_option("--data-root", options->data_root, "Folder of NAME.jsonl and of images that lie elsewhere in it")
      ->type_name("FOLDER");
  evaluate_app->add_option("--output", options->output, "Folder to write to (default: evaluation in the run's folder)")
      ->type_name("FOLDER");
  evaluate_app->add_option("--batch-size", options->batch_size, "Prompts answered together (default auto: what fits into 1 GiB)")
      ->type_name("N");
  evaluate_app->add_option("--max-new-tokens", command.max_new_tokens, "Longest answer, in tokens (default 64)")->type_name("N");
  evaluate_app->add_option("--limit", options->limit, "Only the first rows of each task")->type_name("N");
  evaluate_app->add_option("--attention", command.attention, "Samples whose attention on the image is written (default 6)")->type_name("N");
  evaluate_app->add_option("--seed", command.seed, "Seed of swapped images, shown samples and resampling (default 0)")->type_name("N");
  evaluate_app->add_flag("--no-baselines", options->no_baselines, "Don't ask again without the image and with another one");
  evaluate_app->add_option("--tokenizer-type", options->tokenizer_type, "Only for checkpoints that do not store it")
      ->type_name("llama|apertus|qwen3|auto");
  evaluate_app->add_option("--dtype", options->dtype, "Precision (default auto: the checkpoint's)")->type_name("auto|bf16|fp32");
  evaluate_app->add_flag("--quiet", options->quiet, "Print results and errors only");
  evaluate_app->add_flag("--json", options->json, "Print the results as one JSON object");
  add_scan_options(*evaluate_app, command.scan, "Scans");
  evaluate_app->callback(
      [options, evaluate_app, &action] { action = [options, evaluate_app] { return evaluate(*evaluate_app, *options); }; });
}

}  // namespace multimeditron
