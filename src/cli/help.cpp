#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/front.h"

namespace multimeditron {

void add_version(CLI::App& app, Action& action) {
  CLI::App* version_app = add_subcommand(app, "version", "Print the program's version", "multimeditron version");
  version_app->callback([&action] {
    action = [] {
      std::puts("multimeditron " MULTIMEDITRON_VERSION);
      return kExitDone;
    };
  });
}

void add_help(CLI::App& app, Action& action) {
  const auto topic = std::make_shared<std::string>();
  CLI::App* help_app = add_subcommand(app, "help", "Explain the program or one subcommand", "multimeditron help train");
  help_app->add_option("subcommand", *topic, "What to explain")->type_name("SUBCOMMAND");
  help_app->callback([topic, &app, &action] {
    action = [topic, &app] {
      if (topic->empty()) {
        Action unused;  // a command line that was parsed explains the subcommand it chose, and that is `help`
        std::fputs(make_app(unused)->help().c_str(), stdout);
        return kExitDone;
      }
      std::vector<std::string> names;
      for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(each->get_name());
        if (!each->check_name(*topic)) continue;
        std::fputs(each->help(app.get_name()).c_str(), stdout);
        return kExitDone;
      }
      require_choice("help", *topic, names);
      return kExitDone;
    };
  });
}

}  // namespace multimeditron
