#include <CLI/CLI.hpp>
#include <memory>

#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {

void add_report(CLI::App& app, Action& action) {
  struct Options {
    std::vector<std::string> runs;
    std::string output;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* report_app = add_subcommand(app, "report", "Make one HTML page of runs and evaluations: curves, accuracies, samples, recipes",
                                        "multimeditron report runs/alignment runs/end2end --output report.html");
  report_app->add_option("run", options->runs, "Output folder of a run, an evaluation or a demo, or a folder that holds some")
      ->type_name("RUN");
  report_app->add_option("--output", options->output, "The page (default report.html inside the first RUN)")->type_name("FILE");
  report_app->callback([options, &action] {
    action = [options] {
      require_option(!options->runs.empty(), "RUN", "multimeditron report runs/end2end");
      ReportCommand command;
      command.runs.assign(options->runs.begin(), options->runs.end());
      command.output = options->output;
      return run_engine(command);
    };
  });
}

}  // namespace multimeditron
