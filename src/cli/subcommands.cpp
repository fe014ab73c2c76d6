#include "cli/subcommands.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/suggest.h"

namespace multimeditron {

CLI::App* add_subcommand(CLI::App& app, const std::string& name, const std::string& description, const std::string& example) {
  CLI::App* subcommand = app.add_subcommand(name, description);
  subcommand->allow_extras();  // the front reports them, with the nearest option
  subcommand->footer("Example:\n  " + example);
  return subcommand;
}

namespace {

void show(const std::vector<std::string>& warnings, const std::vector<std::string>& notes) {
  const char* rank = std::getenv("RANK");
  if (rank == nullptr) rank = std::getenv("SLURM_PROCID");
  if (rank == nullptr || std::string(rank) == "0") {
    for (const std::string& text : warnings) warn(text);
    for (const std::string& text : notes) note(text);
  }
}

}  // namespace

Recipe load_and_show(const std::string& file, const std::vector<std::string>& overrides) {
  Recipe recipe = load_recipe(file, overrides);
  show(recipe.warnings, recipe.notes);
  return recipe;
}

ExpertRecipe load_expert_and_show(const std::string& file, const std::vector<std::string>& overrides) {
  ExpertRecipe recipe = load_expert_recipe(file, overrides);
  show(recipe.warnings, recipe.notes);
  return recipe;
}

void settle_recipe(const std::string& command, std::string& config, std::vector<std::string>& overrides) {
  if (config.empty() && !overrides.empty() && overrides.front().find('=') == std::string::npos) {
    config = overrides.front();
    overrides.erase(overrides.begin());
  }
  require_option(!config.empty(), "--config", fmt::format("multimeditron {} --config RECIPE", command));
}

void require_one_process() {
  if (world_size() == 1) return;
  throw UserError("this version trains in one process",
                  {.where = "the launcher's variables (WORLD_SIZE, SLURM_STEP_NUM_TASKS)",
                   .found = fmt::format("{} processes", world_size()),
                   .fix = "start one, for instance with `torchrun --nproc-per-node 1` or `srun --ntasks 1`"});
}

GateRecipe load_gate_and_show(const std::string& file, const std::vector<std::string>& overrides) {
  GateRecipe recipe = load_gate_recipe(file, overrides);
  show(recipe.warnings, recipe.notes);
  return recipe;
}

void require_option(bool given, const std::string& option, const std::string& fix) {
  if (!given) throw UserError(fmt::format("`{}` is missing", option), {.fix = fix});
}

void require_range(bool in_range, const std::string& option, const std::string& found, const std::string& expected) {
  if (!in_range) throw UserError(fmt::format("`{}` is out of range", option), {.found = found, .fix = "choose " + expected});
}

void require_choice(const std::string& option, const std::string& value, std::span<const std::string> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  const auto word = nearest(value, choices);
  const std::string valid = fmt::format("one of: {}", fmt::join(choices, ", "));
  throw UserError(fmt::format("`{}` has no choice of this name", option),
                  {.found = fmt::format("`{}`", value), .fix = word ? fmt::format("did you mean `{}`? {}", *word, valid) : valid});
}

}  // namespace multimeditron
