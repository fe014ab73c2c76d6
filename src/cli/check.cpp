#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "cli/subcommands.h"
#include "recipe/missing.h"

namespace multimeditron {
namespace {

struct Options {
  std::string recipe;
  std::vector<std::string> overrides;
  bool json = false;
};

Json to_json(const UserError& error) {
  return {{"message", error.message()}, {"where", error.details().where}, {"found", error.details().found}, {"fix", error.details().fix}};
}

int check_for_programs(const Options& options) {
  Json report = {{"recipe", options.recipe}, {"ok", false}, {"errors", Json::array()}};
  int code = kExitUserError;
  try {
    const auto tell = [&](const auto& recipe) {
      report["ok"] = true;
      report["warnings"] = recipe.warnings;
      report["notes"] = recipe.notes;
      report["fingerprint"] = recipe.fingerprint;
      report["missing"] = missing_parts(recipe);
    };
    if (is_expert_recipe(options.recipe)) {
      tell(load_expert_recipe(options.recipe, options.overrides));
    } else if (is_gate_recipe(options.recipe)) {
      tell(load_gate_recipe(options.recipe, options.overrides));
    } else {
      tell(load_recipe(options.recipe, options.overrides));
    }
    code = kExitDone;
  } catch (const UserErrors& errors) {
    for (const UserError& error : errors.errors()) report["errors"].push_back(to_json(error));
  } catch (const UserError& error) {
    report["errors"].push_back(to_json(error));
  }
  std::puts(report.dump().c_str());
  return code;
}

int check(const Options& options) {
  require_option(!options.recipe.empty(), "RECIPE", "multimeditron check recipe.yaml");
  if (options.json) return check_for_programs(options);
  const auto settle = [&]() -> std::vector<std::string> {
    if (is_expert_recipe(options.recipe)) return missing_parts(load_expert_and_show(options.recipe, options.overrides));
    if (is_gate_recipe(options.recipe)) return missing_parts(load_gate_and_show(options.recipe, options.overrides));
    return missing_parts(load_and_show(options.recipe, options.overrides));
  };
  const std::vector<std::string> missing = settle();
  if (missing.empty()) {
    fmt::print("{}: ok\n", options.recipe);
  } else {
    fmt::print("{}: no mistakes, but this machine lacks\n  {}\n", options.recipe, fmt::join(missing, "\n  "));
  }
  return kExitDone;
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* check_app = add_subcommand(app, "check", "List all mistakes of a recipe, with their lines and what to write instead",
                                       "multimeditron check recipe.yaml");
  check_app->alias("check_dataset");
  check_app->add_option("recipe,--config", options->recipe, "The recipe")->type_name("RECIPE");
  check_app->add_option("overrides", options->overrides, "Changes to the recipe")->type_name("KEY=VALUE");
  check_app->add_flag("--json", options->json, "One JSON object instead of text");
  check_app->callback([options, &action] { action = [options] { return check(*options); }; });
}

}  // namespace multimeditron
