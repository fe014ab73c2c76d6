#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "recipe/expert_recipe.h"
#include "recipe/gate_recipe.h"
#include "recipe/preprocess_recipe.h"
#include "recipe/recipe.h"

namespace CLI {
class App;
}

namespace multimeditron {

/// What the chosen subcommand does once the command line has been read; returns the exit code.
using Action = std::function<int()>;

// Each adds its subcommand to `app`; when the user has chosen it, `action` is set while the command line is parsed.
void add_train(CLI::App& app, Action& action);
void add_train_expert(CLI::App& app, Action& action);
void add_train_gate(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);
void add_evaluate(CLI::App& app, Action& action);
void add_report(CLI::App& app, Action& action);
void add_preprocess(CLI::App& app, Action& action);
void add_demo(CLI::App& app, Action& action);
void add_check(CLI::App& app, Action& action);
void add_schema(CLI::App& app, Action& action);
void add_version(CLI::App& app, Action& action);
void add_completion(CLI::App& app, Action& action);
void add_help(CLI::App& app, Action& action);

/// A subcommand with its help, which ends with an example.
CLI::App* add_subcommand(CLI::App& app, const std::string& name, const std::string& description, const std::string& example);

/// The same recipe with its notes and warnings shown, once for all ranks of a launch.
Recipe load_and_show(const std::string& file, const std::vector<std::string>& overrides);
ExpertRecipe load_expert_and_show(const std::string& file, const std::vector<std::string>& overrides);
GateRecipe load_gate_and_show(const std::string& file, const std::vector<std::string>& overrides);

/// What every training takes: the recipe, as `--config RECIPE` or as the first argument, and changes to it.
void settle_recipe(const std::string& command, std::string& config, std::vector<std::string>& overrides);
/// Throws UserError where a launcher has started several processes for this job.
void require_one_process();

/// Options for images that are scans (DICOM, NIfTI): --window, --frame, --axis, --slice, --volume. `scan` is written as they are parsed.
void add_scan_options(CLI::App& app, ScanView& scan, const std::string& group);
std::vector<const char*> scan_option_names();
/// Throws UserError for a window, an axis or a slice that does not exist.
void check_scan_options(const ScanView& scan);

// Checks of values, with messages of the same form as all others.
void require_option(bool given, const std::string& option, const std::string& fix);
void require_range(bool in_range, const std::string& option, const std::string& found, const std::string& expected);
/// Throws UserError with the nearest choice, unless `value` is one of `choices`.
void require_choice(const std::string& option, const std::string& value, std::span<const std::string> choices);

}  // namespace multimeditron
