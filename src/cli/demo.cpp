#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {

void add_demo(CLI::App& app, Action& action) {
  struct Options {
    std::string output = "demo-output";
    int64_t seed = 0;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* demo_app =
      add_subcommand(app, "demo", "Make a tiny model and data, train both stages, ask a question: all in a minute, offline",
                     "multimeditron demo --output demo-output");
  demo_app->add_option("--output", options->output, "Folder to write to (default demo-output)")->type_name("FOLDER");
  demo_app->add_option("--seed", options->seed, "Seed of model and data (default 0)")->type_name("N");
  demo_app->callback([options, &action] {
    action = [options] {
      require_option(!options->output.empty(), "--output", "name a folder");
      require_range(options->seed >= 0, "--seed", fmt::format("{}", options->seed), "0 or more");
      return run_engine(DemoCommand{options->output, options->seed});
    };
  });
}

}  // namespace multimeditron
