#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/log.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {

void add_train_gate(CLI::App& app, Action& action) {
  struct Options {
    std::string config;
    std::vector<std::string> overrides;
    bool fresh = false, quiet = false, json = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* gate_app = add_subcommand(app, "train-gate", "Train the gate of a mixture on images by kind, or go on with its unfinished run",
                                      "multimeditron train-gate --config gate.yaml num_epochs=3");
  gate_app->alias("train_gate");
  gate_app->add_option("--config", options->config, "The recipe (docs/gate.md)")->type_name("RECIPE");
  gate_app->add_option("overrides", options->overrides, "Changes to the recipe: num_epochs=3")->type_name("KEY=VALUE");
  gate_app->add_flag("--fresh", options->fresh, "Set the run in output_dir aside (renamed) and start anew");
  gate_app->add_flag("--quiet", options->quiet, "Print results and errors only");
  gate_app->add_flag("--json", options->json, "Print JSON lines for programs");
  gate_app->callback([options, &action] {
    action = [options] {
      settle_recipe("train-gate", options->config, options->overrides);
      require_one_process();
      if (options->quiet && options->json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
      if (options->quiet) set_log_level(LogLevel::kQuiet);
      const OutputMode output = options->json ? OutputMode::kJson : options->quiet ? OutputMode::kQuiet : OutputMode::kNormal;
      return run_engine(TrainGateCommand{load_gate_and_show(options->config, options->overrides), options->fresh, output});
    };
  });
}

}  // namespace multimeditron
