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

struct Words {
  const char *name, *description, *example, *recipe, *overrides;
};

/// A subcommand that trains what a recipe describes. `run`: once its options are settled.
CLI::App* add_training(CLI::App& app, Action& action, const Words& words, std::function<int(const Options&, OutputMode)> run) {
  const auto options = std::make_shared<Options>();
  CLI::App* added = add_subcommand(app, words.name, words.description, words.example);
  added->add_option("--config", options->config, words.recipe)->type_name("RECIPE");
  added->add_option("overrides", options->overrides, words.overrides)->type_name("KEY=VALUE");
  added->add_flag("--dry-run", options->dry_run, "Check everything and say what would be done");
  added->add_flag("--fresh", options->fresh, "Set the run in output_dir aside (renamed) and start anew");
  added->add_flag("--quiet", options->quiet, "Print errors only");
  added->add_flag("--json", options->json, "Print JSON lines for programs");
  added->callback([options, &action, run = std::move(run), name = std::string(words.name)] {
    action = [options, run, name] {
      settle_recipe(name, options->config, options->overrides);
      require_one_process();
      if (options->quiet && options->json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
      if (options->quiet) set_log_level(LogLevel::kQuiet);
      return run(*options, options->json ? OutputMode::kJson : options->quiet ? OutputMode::kQuiet : OutputMode::kNormal);
    };
  });
  return added;
}

}  // namespace

void add_train(CLI::App& app, Action& action) {
  const Words words{"train", "Train the model that a recipe describes, or go on with its unfinished run",
                    "multimeditron train --config recipe.yaml training_args.learning_rate=1e-4", "The recipe",
                    "Changes to the recipe: training_args.max_steps=10, datasets.0.packed_path=data"};
  add_training(app, action, words, [](const Options& given, OutputMode output) {
    return run_engine(TrainCommand{load_and_show(given.config, given.overrides), given.fresh, given.dry_run, output});
  });
}

void add_train_expert(CLI::App& app, Action& action) {
  const Words words{"train-expert", "Train a CLIP on images and captions, or go on with its unfinished run",
                    "multimeditron train-expert --config expert.yaml training_args.max_steps=100", "The recipe (docs/experts.md)",
                    "Changes to the recipe: training_args.max_steps=10"};
  add_training(app, action, words, [](const Options& given, OutputMode output) {
    return run_engine(TrainExpertCommand{load_expert_and_show(given.config, given.overrides), given.fresh, given.dry_run, output});
  })->alias("train_expert");
}

void add_train_gate(CLI::App& app, Action& action) {
  const Words words{"train-gate", "Train the gate of a mixture on images by kind, or go on with its unfinished run",
                    "multimeditron train-gate --config gate.yaml num_epochs=3", "The recipe (docs/gate.md)",
                    "Changes to the recipe: num_epochs=3"};
  add_training(app, action, words, [](const Options& given, OutputMode output) {
    return run_engine(TrainGateCommand{load_gate_and_show(given.config, given.overrides), given.fresh, given.dry_run, output});
  })->alias("train_gate");
}

}  // namespace multimeditron
