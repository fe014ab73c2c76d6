#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/subcommands.h"

namespace multimeditron {

void add_schema(CLI::App& app, Action& action) {
  const auto markdown = std::make_shared<bool>(false);
  CLI::App* schema_app = add_subcommand(app, "schema", "Print every key of a recipe as a JSON Schema, for editors",
                                        "multimeditron schema > recipe.schema.json");
  schema_app->add_flag("--markdown", *markdown, "As a page for people");
  schema_app->callback([markdown, &action] {
    action = [markdown] {
      std::fputs((*markdown ? recipe_reference_page() : recipe_json_schema()).c_str(), stdout);
      return kExitDone;
    };
  });
}

}  // namespace multimeditron
