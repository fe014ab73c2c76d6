#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {
namespace {

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  bool dry_run = false, fresh = false, quiet = false, json = false;
};

int train(Options options) {
  settle_recipe("train", options.config, options.overrides);
  require_one_process();
  if (options.quiet && options.json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
  if (options.quiet) set_log_level(LogLevel::kQuiet);
  const OutputMode output = options.json ? OutputMode::kJson : options.quiet ? OutputMode::kQuiet : OutputMode::kNormal;
  return run_engine(TrainCommand{load_and_show(options.config, options.overrides), options.fresh, options.dry_run, output});
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* train_app = add_subcommand(app, "train", "Train the model that a recipe describes, or go on with its unfinished run",
                                       "multimeditron train --config recipe.yaml training_args.learning_rate=1e-4");
  train_app->add_option("--config", options->config, "The recipe")->type_name("RECIPE");
  train_app->add_option("overrides", options->overrides, "Changes to the recipe: training_args.max_steps=10, datasets.0.packed_path=data")
      ->type_name("KEY=VALUE");
  train_app->add_flag("--dry-run", options->dry_run, "Check everything and say what would be done");
  train_app->add_flag("--fresh", options->fresh, "Set the run in output_dir aside (renamed) and start anew");
  train_app->add_flag("--quiet", options->quiet, "Print results and errors only");
  train_app->add_flag("--json", options->json, "Print JSON lines for programs");
  train_app->callback([options, &action] { action = [options] { return train(*options); }; });
}

}  // namespace multimeditron
