#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/log.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {

void add_demo(CLI::App& app, Action& action) {
  static const std::vector<std::string> kRecipes = {"single_clip/llama_clip", "moe/attn/pep", "moe/attn/shared", "moe/avg/pep",
                                                    "moe/avg/shared",         "moe/cat/pep",  "moe/cat/shared"};
  struct Options {
    std::string output = "demo-output", recipe, llm;
    int64_t seed = 0;
    bool quick = false, quiet = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* demo_app =
      add_subcommand(app, "demo", "Draw images, train a small model on them in every stage, examine it: four minutes, offline",
                     "multimeditron demo --output demo-output");
  demo_app->add_option("--output", options->output, "Folder to write to (default demo-output)")->type_name("FOLDER");
  demo_app->add_option("--seed", options->seed, "Seed of model and data (default 0)")->type_name("N");
  demo_app
      ->add_option("--recipe", options->recipe,
                   "A recipe of the cookbook in the demo's size: moe/{attn,avg,cat}/{pep,shared}, single_clip/llama_clip")
      ->type_name("NAME");
  demo_app->add_option("--llm", options->llm, "Teach this language model too (folder or hub id of a small one) and compare")
      ->type_name("MODEL");
  demo_app->add_flag("--quick", options->quick, "A twentieth of data and steps: everything runs in seconds, little is learnt");
  demo_app->add_flag("--quiet", options->quiet, "Print results and errors only");
  demo_app->callback([options, &action] {
    action = [options] {
      require_option(!options->output.empty(), "--output", "name a folder");
      require_range(options->seed >= 0, "--seed", fmt::format("{}", options->seed), "0 or more");
      if (options->quiet) set_log_level(LogLevel::kQuiet);
      if (!options->recipe.empty()) require_choice("--recipe", options->recipe, kRecipes);
      require_option(options->recipe.empty() || options->llm.empty(), "--llm", "give either --recipe or --llm");
      return run_engine(DemoCommand{options->recipe, options->llm, options->output, options->seed, options->quick,
                                    options->quiet ? OutputMode::kQuiet : OutputMode::kNormal});
    };
  });
}

}  // namespace multimeditron
