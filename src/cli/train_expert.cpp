#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {

void add_train_expert(CLI::App& app, Action& action) {
  struct Options {
    std::string config;
    std::vector<std::string> overrides;
    bool fresh = false, quiet = false, json = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* expert_app = add_subcommand(app, "train-expert", "Train a CLIP on images and captions, or go on with its unfinished run",
                                        "multimeditron train-expert --config expert.yaml training_args.max_steps=100");
  expert_app->alias("train_expert");
  expert_app->add_option("--config", options->config, "The recipe (docs/experts.md)")->type_name("RECIPE");
  expert_app->add_option("overrides", options->overrides, "Changes to the recipe: training_args.max_steps=10")->type_name("KEY=VALUE");
  expert_app->add_flag("--fresh", options->fresh, "Set the run in output_dir aside (renamed) and start anew");
  expert_app->add_flag("--quiet", options->quiet, "Print results and errors only");
  expert_app->add_flag("--json", options->json, "Print JSON lines for programs");
  expert_app->callback([options, &action] {
    action = [options] {
      settle_recipe("train-expert", options->config, options->overrides);
      require_one_process();
      if (options->quiet && options->json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
      if (options->quiet) set_log_level(LogLevel::kQuiet);
      const OutputMode output = options->json ? OutputMode::kJson : options->quiet ? OutputMode::kQuiet : OutputMode::kNormal;
      return run_engine(TrainExpertCommand{load_expert_and_show(options->config, options->overrides), options->fresh, output});
    };
  });
}

}  // namespace multimeditron
