#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/subcommands.h"
#include "recipe/schema.h"

namespace multimeditron {

void add_schema(CLI::App& app, Action& action) {
  const auto markdown = std::make_shared<bool>(false);
  const auto of = std::make_shared<std::string>("train");
  CLI::App* schema_app = add_subcommand(app, "schema", "Print every key of a recipe as a JSON Schema, for editors",
                                        "multimeditron schema > recipe.schema.json");
  schema_app->add_flag("--markdown", *markdown, "As a page for people");
  schema_app->add_option("of", *of, "Whose recipe: train, train-expert, train-gate; the page has them all")->type_name("SUBCOMMAND");
  schema_app->callback([markdown, of, &action] {
    action = [markdown, of] {
      const std::vector<std::string> kinds = {"train", "train-expert", "train-gate"};
      require_choice("of", *of, kinds);
      const RecipeKind kind = *of == kinds[0] ? RecipeKind::kTraining : *of == kinds[1] ? RecipeKind::kExpert : RecipeKind::kGate;
      std::fputs((*markdown ? recipe_reference_page() : recipe_json_schema(kind)).c_str(), stdout);
      return kExitDone;
    };
  });
}

}  // namespace multimeditron
