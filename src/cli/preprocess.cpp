#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {
namespace {

struct Options {
  std::vector<std::string> sources;
  std::string config, shard_size = "500MB";
  PreprocessJob job;
  int64_t head = 0, shuffle = 0, workers = 0;
  bool fresh = false, quiet = false, json = false;
};

/// The cookbook's variable for data processes.
int64_t workers_of_environment() {
  const char* text = std::getenv("NUM_PROC");
  const int64_t workers = text == nullptr ? 0 : std::atoll(text);
  return workers > 0 && workers <= 4096 ? workers : 0;
}

std::vector<PreprocessJob> jobs_of(const CLI::App& app, Options& options) {
  const auto given = [&](const char* name) { return app.get_option(name)->count() > 0; };
  std::vector<PreprocessJob> jobs;
  if (!options.config.empty()) {
    // What stands beside a configuration changes its keys, as the original's command line does.
    PreprocessRecipe recipe = load_preprocess_recipe(options.config, options.sources);
    for (const std::string& text : recipe.warnings) warn(text);
    for (const std::string& text : recipe.notes) note(text);
    jobs = std::move(recipe.jobs);
  } else {
    require_option(!options.sources.empty(), "DATASET", "multimeditron preprocess train.jsonl --image-folder images --output packed");
    require_option(!options.job.output.empty(), "--output", "name the folder to write");
    options.job.sources = options.sources;
    jobs = {options.job};
  }
  const auto bytes = parse_size(options.shard_size);
  if (!bytes) require_range(false, "--shard-size", options.shard_size, "a size, for instance 500MB or 2GiB");
  for (PreprocessJob& job : jobs) {
    if (given("--output")) job.output = options.job.output;
    if (given("--image-folder")) job.image_folder = options.job.image_folder;
    if (given("--format")) job.format = options.job.format;
    if (given("--shard-size") || options.config.empty()) job.shard_bytes = *bytes;
    if (given("--on-bad")) job.on_bad = options.job.on_bad;
    if (given("--attachment-token")) job.attachment_token = options.job.attachment_token;
    if (given("--max-bad-samples")) job.max_bad_samples = options.job.max_bad_samples;
    if (given("--any-text")) job.any_text = true;
    if (given("--head")) job.head = options.head;
    if (given("--shuffle")) job.shuffle_seed = options.shuffle;
    if (given("--workers")) job.workers = options.workers;
    if (job.workers == 0) job.workers = workers_of_environment();
    if (job.output.ends_with(".parquet")) job.format = "parquet";
    require_choice("--format", job.format, std::vector<std::string>{"arrow", "parquet"});
    require_choice("--on-bad", job.on_bad, std::vector<std::string>{"quarantine", "skip", "fail"});
    require_range(job.max_bad_samples >= 0 && job.max_bad_samples <= 1, "--max-bad-samples", fmt::format("{}", job.max_bad_samples),
                  "0 to 1");
    require_range(!job.head || *job.head >= 1, "--head", fmt::format("{}", options.head), "1 or more");
    require_range(!job.shuffle_seed || *job.shuffle_seed >= 0, "--shuffle", fmt::format("{}", options.shuffle), "a seed, 0 or more");
    require_range(job.workers >= 0 && job.workers <= 4096, "--workers", fmt::format("{}", job.workers), "0 (one a core) to 4096");
  }
  if (jobs.size() > 1 && given("--output"))
    throw UserError("several data sets cannot go to one output",
                    {.found = fmt::format("{} in the configuration", jobs.size()), .fix = "leave `--output` out"});
  return jobs;
}

}  // namespace

void add_preprocess(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  PreprocessJob& job = options->job;
  CLI::App* preprocess_app =
      add_subcommand(app, "preprocess", "Copy a data set with its images' bytes inside: checked, in parallel, resumable",
                     "multimeditron preprocess train.jsonl --image-folder images --output packed");
  preprocess_app->alias("preprocess-ds");
  preprocess_app->alias("preprocess_ds");
  preprocess_app
      ->add_option("dataset", options->sources, "JSON lines, CSV, Arrow, Parquet, folders, hub ids; with --config KEY=VALUE changes to it")
      ->type_name("DATASET");
  preprocess_app->add_option("--config,-c", options->config, "YAML that says the same (and the original's preprocess configurations)")
      ->type_name("RECIPE");
  preprocess_app->add_option("--image-folder", job.image_folder, "Where relative image paths start (default: beside the data set)")
      ->type_name("FOLDER");
  preprocess_app->add_option("--output", job.output, "Folder to write; one Parquet file where it ends in .parquet")->type_name("FOLDER");
  preprocess_app->add_option("--format", job.format, "arrow: a save_to_disk folder (default); parquet: files below data/")
      ->type_name("arrow|parquet");
  preprocess_app->add_option("--workers", options->workers, "Threads (default: NUM_PROC, else one a core)")->type_name("N");
  preprocess_app->add_option("--shard-size", options->shard_size, "A file ends with the row that reaches this size (default 500MB)")
      ->type_name("SIZE");
  preprocess_app
      ->add_option(
          "--on-bad", job.on_bad,
          "Rows that cannot be used: quarantine lists them and gives up past max(10, 1 %) (default), skip never gives up, fail at once")
      ->type_name("quarantine|skip|fail");
  preprocess_app->add_option("--max-bad-samples", job.max_bad_samples, "Share of bad rows that ends the work (default 0.01; of quarantine)")
      ->type_name("SHARE");
  preprocess_app->add_flag("--any-text", job.any_text, "Don't ask for text and attachment tokens (data for experts and gates)");
  preprocess_app->add_option("--attachment-token", job.attachment_token, "What stands for an image in the texts")->type_name("TOKEN");
  preprocess_app->add_option("--head", options->head, "Only the first rows")->type_name("N");
  preprocess_app->add_option("--shuffle", options->shuffle, "Shuffle by this seed, as datasets does")->type_name("SEED");
  preprocess_app->add_flag("--fresh", options->fresh, "Set what an interrupted call left, or an old output, aside and begin anew");
  preprocess_app->add_flag("--quiet", options->quiet, "Print errors only");
  preprocess_app->add_flag("--json", options->json, "One JSON object a line instead of text");
  preprocess_app->callback([options, preprocess_app, &action] {
    action = [options, preprocess_app] {
      if (options->quiet && options->json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
      PreprocessCommand command{.jobs = jobs_of(*preprocess_app, *options), .config = options->config, .fresh = options->fresh};
      command.mode = options->json ? OutputMode::kJson : options->quiet ? OutputMode::kQuiet : OutputMode::kNormal;
      if (options->quiet) set_log_level(LogLevel::kQuiet);
      return run_engine(command);
    };
  });
}

}  // namespace multimeditron
