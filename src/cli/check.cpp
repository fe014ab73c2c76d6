#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/check_report.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"
#include "recipe/missing.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using CheckedRecipe = CheckCommand::CheckedRecipe;

constexpr const char* kOwnGroup = "Data sets without a recipe";
constexpr int64_t kMostThreads = 4096;

struct Options {
  CheckCommand command;
  std::vector<std::string> paths, recipes, overrides;
  std::string output, html, tokenizer_type, label_mask = "original";
  int64_t limit = 0, max_sequence_length = 0, max_length = 0, threads = 0;
  bool recipe_only = false, no_images = false, quiet = false, json = false;
};

bool exists(const std::string& path) {
  std::error_code code;
  return fs::exists(path, code);
}

/// What was given without an option, told apart: changes to recipes, recipes, data sets.
void sort_paths(Options& options) {
  for (const std::string& path : options.paths) {
    if (path.find('=') != std::string::npos && !exists(path)) {
      options.overrides.push_back(path);
    } else if (path.ends_with(".yaml") || path.ends_with(".yml")) {
      options.recipes.push_back(path);
    } else {
      options.command.data_sets.push_back(path);
    }
  }
}

CheckedRecipe read(const std::string& file, const Options& options) {
  const auto checked = [](auto recipe) {
    std::vector<std::string> missing = missing_parts(recipe);
    return CheckedRecipe{std::move(recipe), std::move(missing)};
  };
  const auto& overrides = options.overrides;
  if (is_expert_recipe(file)) return checked(options.json ? load_expert_recipe(file, overrides) : load_expert_and_show(file, overrides));
  if (is_gate_recipe(file)) return checked(options.json ? load_gate_recipe(file, overrides) : load_gate_and_show(file, overrides));
  return checked(options.json ? load_recipe(file, overrides) : load_and_show(file, overrides));
}

/// Whether something that the recipe names is on this machine: a data set, or all of its models.
bool has_something(const CheckedRecipe& checked) {
  size_t missing_data = 0, missing_models = 0;
  for (const std::string& part : checked.missing) {
    const bool is_data = part.starts_with("datasets.") || part.starts_with("dataset_class_map.") ||
                         part.starts_with("test_dataset_class_map.") || part.starts_with("zero_shot_class_map.");
    missing_data += is_data;
    missing_models += !is_data && !part.starts_with("loaders.");
  }
  const auto count = [](const std::vector<std::vector<std::string>>& map) {
    size_t sum = 0;
    for (const std::vector<std::string>& each : map) sum += each.size();
    return sum;
  };
  size_t data = 0;
  if (const auto* recipe = std::get_if<Recipe>(&checked.recipe)) data = recipe->datasets.size();
  if (const auto* recipe = std::get_if<ExpertRecipe>(&checked.recipe)) data = recipe->datasets.size() + count(recipe->zero_shot_class_map);
  if (const auto* recipe = std::get_if<GateRecipe>(&checked.recipe))
    data = count(recipe->dataset_class_map) + count(recipe->test_dataset_class_map);
  return missing_models == 0 || missing_data < data;
}

/// Of recipes alone, where nothing else is to be looked at.
int tell_recipes(const std::vector<CheckedRecipe>& checked, const Json& reports, bool json) {
  if (json) {
    std::puts(whole_report(reports).dump().c_str());
    return kExitDone;
  }
  for (const CheckedRecipe& each : checked)
    std::visit([&](const auto& recipe) { std::fputs(verdict(recipe.file.string(), each.missing).c_str(), stdout); }, each.recipe);
  return kExitDone;
}

void settle(const CLI::App& app, Options& options) {
  CheckCommand& command = options.command;
  if (options.quiet && options.json) throw UserError("`--quiet` and `--json` exclude each other", {.fix = "keep one of them"});
  if (!options.overrides.empty() && options.recipes.empty())
    throw UserError("changes without a recipe",
                    {.found = fmt::format("`{}`", options.overrides.front()), .fix = "name the recipe that they change"});
  const auto given = [&](const char* name) { return app.get_option(name)->count() > 0; };
  const auto positive = [&](const char* name, int64_t value) {
    if (given(name)) require_range(value >= 1, name, fmt::format("{}", value), "1 or more");
    return given(name) ? std::optional(value) : std::nullopt;
  };
  command.limit = positive("--limit", options.limit);
  command.max_sequence_length = positive("--max-sequence-length", options.max_sequence_length);
  command.max_length = positive("--max-length", options.max_length);
  positive("--embeddings-per-image", command.embeddings_per_image);
  require_range(command.seed >= 0, "--seed", fmt::format("{}", command.seed), "0 or more");
  require_range(command.max_bad_samples >= 0 && command.max_bad_samples <= 1, "--max-bad-samples",
                fmt::format("{}", command.max_bad_samples), "a share of the rows, 0 to 1");
  if (given("--threads"))
    require_range(options.threads >= 1 && options.threads <= kMostThreads, "--threads", fmt::format("{}", options.threads), "1 to 4096");
  command.threads =
      given("--threads") ? static_cast<int>(options.threads) : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (command.data_sets.empty() && command.tests.empty()) {
    for (const CLI::Option* option : app.get_options()) {
      // What an image takes counts for recipes too, where a part of their model is missing.
      if (option->count() == 0 || option->get_group() != kOwnGroup || option->get_name() == "--embeddings-per-image") continue;
      throw UserError(fmt::format("`{}` has no meaning for recipes alone", option->get_name()),
                      {.fix = "remove it, change the recipe's own key, or name a data set or `--test`"});
    }
  }
  require_choice("--label-mask", options.label_mask, std::vector<std::string>{"original", "assistant"});
  command.label_mask = options.label_mask == "original" ? LabelMask::kOriginal : LabelMask::kAssistant;
  if (!options.tokenizer_type.empty()) {
    require_choice("--tokenizer-type", options.tokenizer_type, std::vector<std::string>{"llama", "apertus", "qwen3", "auto"});
    command.tokenizer_type = parse_tokenizer_type(options.tokenizer_type);
  }
  if (!options.output.empty()) {
    command.html = fs::path(options.output) / "check.html";
    command.json_file = fs::path(options.output) / "check.json";
  }
  if (!options.html.empty()) command.html = options.html;
  for (const char* name : {"--show-samples", "--no-images"})
    if (given(name) && command.html.empty())
      throw UserError(fmt::format("`{}` has no meaning without a page", name), {.fix = "add `--html FILE` or `--output FOLDER`"});
  command.has_images = !options.no_images;
  command.mode = options.json ? OutputMode::kJson : options.quiet ? OutputMode::kQuiet : OutputMode::kNormal;
}

int check(const CLI::App& app, Options& options) {
  sort_paths(options);
  if (options.recipes.empty() && options.command.data_sets.empty())
    require_option(false, "PATH", "multimeditron check recipe.yaml, or the folder or file of a data set");
  settle(app, options);
  CheckCommand& command = options.command;
  if (options.quiet) set_log_level(LogLevel::kQuiet);

  std::vector<UserError> mistakes;
  Json reports = Json::array();
  for (const std::string& file : options.recipes) {
    std::vector<UserError> own;
    try {
      command.recipes.push_back(read(file, options));
      std::visit([&](const auto& recipe) { reports.push_back(report_of(recipe, command.recipes.back().missing, {})); },
                 command.recipes.back().recipe);
    } catch (const UserError& error) {
      append(own, error);
      reports.push_back(report_of(file, own));
    }
    mistakes.insert(mistakes.end(), own.begin(), own.end());
  }
  if (!mistakes.empty()) {
    if (!options.json) throw UserErrors(std::move(mistakes));
    std::puts(whole_report(reports).dump().c_str());
    return kExitUserError;
  }
  const bool needs_engine =
      !command.data_sets.empty() || !command.tests.empty() || std::any_of(command.recipes.begin(), command.recipes.end(), has_something);
  if (options.recipe_only || !needs_engine) return tell_recipes(command.recipes, reports, options.json);
  return run_engine(command);
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CheckCommand& command = options->command;
  CLI::App* added = add_subcommand(app, "check", "Look for mistakes in recipes, and for faults, duplicates and test data in data sets",
                                   "multimeditron check recipe.yaml --test test.jsonl --html check.html");
  added->alias("check_dataset");
  added->add_option("paths", options->paths, "Recipes (.yaml), data sets (folder, file, pattern, hub id), changes to recipes (KEY=VALUE)")
      ->type_name("PATH");
  added->add_option("--config", options->recipes, "A recipe of any name; repeat for several")->type_name("RECIPE")->allow_extra_args(false);
  added->add_option("--test", command.tests, "A test set that training must not hold; repeat for several")
      ->type_name("PATH")
      ->allow_extra_args(false);
  added->add_flag("--recipe-only", options->recipe_only, "Look at recipes, not at models and data");
  added->add_option("--limit", options->limit, "Look at so many rows of each data set, drawn by the seed")->type_name("N");
  added->add_option("--seed", command.seed, "Seed of --limit (default 0)")->type_name("N");
  added->add_option("--threads", options->threads, "Threads (default: as many as there are cores)")->type_name("N");
  added->add_flag("--strict", command.strict, "End with code 2 where test data are in training");
  added->add_option("--output", options->output, "Write check.html and check.json to this folder")->type_name("FOLDER");
  added->add_option("--html", options->html, "Write a page")->type_name("FILE");
  added->add_flag("--no-images", options->no_images, "No pictures on the page");
  added->add_flag("--show-samples", command.has_samples, "Texts and images of the listed rows on the page");
  added->add_option("--tokenizer", command.tokenizer, "Folder of the tokenizer")->type_name("FOLDER")->group(kOwnGroup);
  added->add_option("--tokenizer-type", options->tokenizer_type, "Whose role delimiters (default auto: found from the chat template)")
      ->type_name("llama|apertus|qwen3|auto")
      ->group(kOwnGroup);
  added->add_option("--attachment-token", command.attachment_token, "Marks an image (default <|reserved_special_token_0|>)")
      ->type_name("TOKEN")
      ->group(kOwnGroup);
  added->add_option("--embeddings-per-image", command.embeddings_per_image, "Tokens that an image takes (default 1)")
      ->type_name("N")
      ->group(kOwnGroup);
  added->add_option("--label-mask", options->label_mask, "What is learnt (default original)")
      ->type_name("original|assistant")
      ->group(kOwnGroup);
  added->add_option("--max-sequence-length", options->max_sequence_length, "Truncate samples to so many tokens")
      ->type_name("N")
      ->group(kOwnGroup);
  added->add_option("--max-length", options->max_length, "Tokens of a pack")->type_name("N")->group(kOwnGroup);
  added->add_option("--base-path", command.base_path, "Folder that the images' paths start from")->type_name("FOLDER")->group(kOwnGroup);
  added->add_option("--max-bad-samples", command.max_bad_samples, "Share of rows that may be bad (default 0.01, at least 10)")
      ->type_name("SHARE")
      ->group(kOwnGroup);
  added->add_flag("--quiet", options->quiet, "Print errors only");
  added->add_flag("--json", options->json, "One JSON object instead of text");
  added->callback([options, added, &action] { action = [options, added] { return check(*added, *options); }; });
}

}  // namespace multimeditron
