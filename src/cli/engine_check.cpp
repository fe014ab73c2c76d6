#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/hub.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "cli/check_report.h"
#include "cli/engine.h"
#include "cli/engine_check_view.h"
#include "cli/engine_terminal.h"
#include "data/image_loader.h"
#include "doctor/page.h"
#include "evaluation/questions.h"
#include "models/model_folder.h"
#include "models/multimodal/pretrained.h"
#include "tracking/progress.h"
#include "training/expert_trainer.h"
#include "training/gate_trainer.h"
#include "training/trainer.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

/// What examines several recipes and data sets at once.
class Check {
 public:
  explicit Check(const CheckCommand& command) : command_(command) {}

  int run() {
    for (const CheckCommand::CheckedRecipe& checked : command_.recipes) {
      errors_of_recipe_.clear();
      std::visit([&](const auto& recipe) { add_recipe(recipe, checked.missing); }, checked.recipe);
    }
    settle_given_rules();
    for (const std::string& name : command_.data_sets) add_given(name, "PATH", false);
    for (const std::string& name : command_.tests) add_given(name, "--test", true);
    install_stop_signals();
    {
      Progress progress(command_.mode == OutputMode::kNormal ? OutputMode::kNormal : OutputMode::kQuiet);
      const ExamineOptions options{
          .limit = command_.limit,
          .seed = static_cast<uint64_t>(command_.seed),
          .num_threads = command_.threads,
          .on_progress = [&](const std::string& name, int64_t done,
                             int64_t total) { progress.count({.what = "rows of " + printable(name), .done = done, .total = total}); },
          .is_stopped = stop_requested};
      examination_ = examine(sets_, options);
    }
    return tell();
  }

 private:
  const NameOfPlace name_of_ = [this](RowPlace place) { return sets_[place.data_set].dataset->place(place.row); };

  void complain(const UserError& error) {
    append(errors_of_recipe_, error);
    append(errors_, error);
  }

  template <typename Body>
  void guarded(Body body) {
    try {
      body();
    } catch (const UserError& error) {
      complain(error);
    }
  }

  // ---- Recipes

  void add_recipe(const Recipe& recipe, const std::vector<std::string>& missing) {
    guarded([&] { require_image_folders(recipe.loaders, recipe.file); });
    RowRules rules{.use = RowUse::kSamples, .loaders = recipe.loaders, .has_loaders = true};
    load_model(recipe, missing, rules);
    if (recipe.pack_sequences) rules.pack_length = recipe.max_length > 0 ? std::optional(recipe.max_length) : recipe.max_sequence_length;
    if (!given_rules_) given_rules_ = rules;
    add_listed(
        recipe.datasets, recipe.file, "datasets", missing,
        [&](DataSetToExamine& set) {
          set.rules = rules;
          set.max_length = recipe.max_length > 0 ? recipe.max_length : recipe.max_sequence_length.value_or(0);
          set.seed = recipe.seed;
          set.max_bad_samples = recipe.max_bad_samples;
        },
        recipe.seed);
    recipe_reports_.push_back(report_of(recipe, missing, errors_of_recipe_));
  }

  void add_recipe(const ExpertRecipe& recipe, const std::vector<std::string>& missing) {
    guarded([&] { require_image_folders(recipe.loaders, recipe.file); });
    RowRules rules{.use = RowUse::kPairs, .loaders = recipe.loaders, .has_loaders = true};
    rules.prompt.attachment_token = recipe.attachment_token;
    if (!lacks(missing, "clip_name")) guarded([&] { check_expert_model(recipe); });
    const auto settle = [&](DataSetToExamine& set) {
      set.rules = rules;
      set.max_bad_samples = recipe.max_bad_samples;
    };
    add_listed(recipe.datasets, recipe.file, "datasets", missing, settle);
    rules.use = RowUse::kImages;
    for (size_t i = 0; i < recipe.zero_shot_class_map.size(); ++i) {
      const std::string key = "zero_shot_class_map." + recipe.zero_shot_classes[i];
      add_listed(specs_of(recipe.zero_shot_class_map[i]), recipe.file, key, missing, settle);
    }
    recipe_reports_.push_back(report_of(recipe, missing, errors_of_recipe_));
  }

  void add_recipe(const GateRecipe& recipe, const std::vector<std::string>& missing) {
    guarded([&] { require_image_folders(recipe.loaders, recipe.file); });
    if (!lacks(missing, "image_processor_path") && !lacks(missing, "pretrained_backbone")) guarded([&] { check_gate_model(recipe); });
    for (const bool is_test : {false, true}) {
      const auto& map = is_test ? recipe.test_dataset_class_map : recipe.dataset_class_map;
      for (size_t i = 0; i < map.size(); ++i) {
        const std::string key = fmt::format("{}.{}", is_test ? "test_dataset_class_map" : "dataset_class_map", i);
        add_listed(specs_of(map[i]), recipe.file, key, missing, [&](DataSetToExamine& set) {
          set.rules = {.use = RowUse::kImages, .loaders = recipe.loaders, .has_loaders = true};
          set.max_bad_samples = recipe.max_bad_samples;
          set.is_test = is_test;
        });
      }
    }
    recipe_reports_.push_back(report_of(recipe, missing, errors_of_recipe_));
  }

  static bool lacks(const std::vector<std::string>& missing, const char* key) {
    return std::any_of(missing.begin(), missing.end(), [&](const std::string& part) { return part.starts_with(key); });
  }

  static std::vector<DatasetSpec> specs_of(const std::vector<std::string>& paths) {
    std::vector<DatasetSpec> specs;
    for (const std::string& path : paths) specs.push_back({.packed_path = path, .weight = {}, .max_samples = {}});
    return specs;
  }

  /// Data sets of a recipe that are there; `settle` says how they are used. Without a seed they may bear no weights.
  template <typename Settle>
  void add_listed(const std::vector<DatasetSpec>& specs, const fs::path& recipe, const std::string& key,
                  const std::vector<std::string>& missing, Settle settle, std::optional<int64_t> seed = std::nullopt) {
    for (size_t i = 0; i < specs.size(); ++i) {
      const std::string& name = specs[i].packed_path;
      const bool is_missing = std::any_of(missing.begin(), missing.end(),
                                          [&](const std::string& part) { return part.starts_with(key) && part.ends_with(": " + name); });
      if (is_missing) continue;
      const std::string own_key = key == "datasets" || specs.size() > 1 ? fmt::format("{}.{}", key, i) : key;
      guarded([&] {
        DataSetToExamine set{.name = name, .dataset = open_datasets({&specs[i], 1}, recipe, own_key, seed), .recipe = recipe.string()};
        settle(set);
        sets_.push_back(std::move(set));
      });
    }
  }

  /// The model's configurations, without its weights, as `train --dry-run` reads them: whether its parts fit each other, and how it takes
  /// texts. Where a part is missing, the tokenizer alone.
  void load_model(const Recipe& recipe, const std::vector<std::string>& missing, RowRules& rules) {
    rules.prompt.attachment_token = recipe.attachment_token;
    const bool waits_for_model = lacks(missing, "base_model");
    try {
      if (!lacks(missing, "base_llm") && !lacks(missing, "modalities.")) {
        Pretrained model = load_from_recipe(recipe, at::kFloat, LoadFor::kPlan);
        if (model.tokenizer) {
          rules.prompt = prompt_options(recipe, *model.model, *model.tokenizer, today_iso_date());
          tokenizers_.push_back(std::move(model.tokenizer));
          rules.tokenizer = tokenizers_.back().get();
        }
        return;
      }
    } catch (const UserError& error) {
      if (!waits_for_model) return complain(error);
    }
    const auto folder = find_in_hub(recipe.base_llm, recipe.file.parent_path(), HubKind::kModel);
    if (!folder || !fs::exists(*folder / "tokenizer.json")) return;
    guarded([&] { use_tokenizer(*folder, recipe.tokenizer_type, recipe.label_mask, rules); });
    if (recipe.truncation) rules.prompt.max_sequence_length = recipe.max_sequence_length;
    note(fmt::format("{}: without all parts of the model an image counts as {} token(s)", recipe.file.string(),
                     command_.embeddings_per_image));
  }

  // ---- Data sets without a recipe

  void use_tokenizer(const fs::path& folder, std::optional<TokenizerType> type, LabelMask mask, RowRules& rules) {
    auto tokenizer = std::make_unique<Tokenizer>(Tokenizer::load(folder));
    rules.prompt.label_mask = mask;
    rules.prompt.attachment_token_id = tokenizer->add_special_token(rules.prompt.attachment_token);
    rules.prompt.embeddings_per_image = command_.embeddings_per_image;
    rules.prompt.today = today_iso_date();
    rules.prompt.chat_format = find_chat_format(*tokenizer, type.value_or(TokenizerType::kAuto), mask, rules.prompt.today);
    tokenizers_.push_back(std::move(tokenizer));
    rules.tokenizer = tokenizers_.back().get();
  }

  void settle_given_rules() {
    if (given_rules_) {
      // Their images lie elsewhere than the recipe's.
      given_rules_->loaders.clear();
      given_rules_->has_loaders = false;
    } else {
      given_rules_.emplace();
      given_rules_->prompt.attachment_token = command_.attachment_token;
    }
    RowRules& rules = *given_rules_;
    if (!command_.tokenizer.empty()) {
      guarded([&] {
        use_tokenizer(find_model_folder(command_.tokenizer, {}, "--tokenizer"), command_.tokenizer_type, command_.label_mask, rules);
      });
    }
    if (command_.max_sequence_length) rules.prompt.max_sequence_length = command_.max_sequence_length;
    if (!command_.base_path.empty()) {
      rules.loaders = {{.loader_type = "fs-image", .modality_type = "image", .base_path = command_.base_path}};
      rules.has_loaders = true;
      guarded([&] { require_image_folders(rules.loaders, "--base-path"); });
    }
  }

  void add_given(const std::string& name, const char* option, bool is_test) {
    guarded([&] {
      const bool is_pattern = name.find_first_of("*?[") != std::string::npos;
      const fs::path path = is_pattern ? fs::path(name) : resolve_hub_path(name, {}, HubKind::kDataset, option);
      DataSetToExamine set{.name = name,
                           .rules = *given_rules_,
                           .is_test = is_test,
                           .max_length = command_.max_length.value_or(0),
                           .seed = 0,
                           .max_bad_samples = command_.max_bad_samples};
      if (command_.max_length) set.rules.pack_length = command_.max_length;
      if (is_test) set.rules.pack_length.reset();
      if (is_question_file(path)) {
        // As `evaluate` reads them: images relative to the file, shown by the defaults.
        set.rules.loaders.clear();
        set.rules.has_loaders = false;
        set.dataset = open_questions(path, set.rules.prompt.attachment_token);
      } else {
        set.dataset = open_dataset(path);
      }
      sets_.push_back(std::move(set));
    });
  }

  // ---- What has been found

  void complain_of_bad_rows() {
    for (const DataSetReport& report : examination_.data_sets) {
      if (!report.has_too_many_bad()) continue;
      errors_.push_back(UserError(
          "too many unusable samples",
          {.where = report.name,
           .found = fmt::format("{} of {} rows looked at; {} may be bad", report.bad_rows, report.examined, report.allowed_bad_rows),
           .fix = "mend or remove them, or raise `max_bad_samples`"}));
    }
    if (command_.strict && examination_.contamination && !examination_.contamination->is_clean()) {
      const Contamination& found = *examination_.contamination;
      errors_.push_back(
          UserError("test data are in training",
                    {.found = fmt::format("{} of {} test images, the text of {} of {} test rows", found.exact_images + found.near_images,
                                          found.test_images, found.rows_by_text, found.test_rows),
                     .fix = "take them out of the training data"}));
    }
  }

  Json report() const {
    Json report = whole_report(recipe_reports_);
    if (recipe_reports_.empty()) report["recipes"] = Json::array();
    report["ok"] = errors_.empty();
    report["errors"] = Json::array();
    for (const UserError& error : errors_) report["errors"].push_back(to_json(error));
    report.update(to_json(examination_, name_of_));
    return report;
  }

  void write_files(const Json& report) const {
    const auto write = [](const fs::path& file, const std::string& content) {
      std::error_code code;
      if (file.has_parent_path()) fs::create_directories(file.parent_path(), code);
      if (code) throw_file_error("create", file.parent_path(), code.value());
      write_file_atomic(file, content);
    };
    if (!command_.json_file.empty()) write(command_.json_file, report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    if (command_.html.empty()) return;
    write(command_.html,
          check_page(report, title(), examination_, sets_, {.has_images = command_.has_images, .has_samples = command_.has_samples}));
  }

  std::string title() const {
    std::string title;
    const auto add = [&](const std::string& name) { title += (title.empty() ? "" : ", ") + fs::path(name).filename().string(); };
    for (const Json& recipe : recipe_reports_) add(recipe["recipe"].get<std::string>());
    for (const std::string& name : command_.data_sets) add(name);
    return title;
  }

  int tell() {
    complain_of_bad_rows();
    const Json all = report();
    write_files(all);
    const int stopped = examination_.is_stopped ? kExitInterrupted : kExitDone;
    if (command_.mode == OutputMode::kJson) {
      std::puts(all.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
      return errors_.empty() ? stopped : kExitUserError;
    }
    if (command_.mode == OutputMode::kNormal) show();
    if (errors_.size() == 1) throw errors_.front();
    if (!errors_.empty()) throw UserErrors(errors_);
    return stopped;
  }

  void show() const {
    const bool colour = colour_on_stdout();
    const int width = terminal_width(1);
    std::string text;
    for (size_t i = 0; i < command_.recipes.size(); ++i) {
      if (recipe_reports_[i]["ok"].get<bool>())
        text += verdict(recipe_reports_[i]["recipe"].get<std::string>(), command_.recipes[i].missing);
    }
    const auto add = [&](const std::string& part) {
      if (!part.empty() && !text.empty()) text += "\n";
      text += part;
    };
    for (size_t i = 0; i < examination_.data_sets.size(); ++i)
      add(view_of(examination_.data_sets[i], static_cast<uint32_t>(i), name_of_, colour, width));
    add(view_of_duplicates(examination_, name_of_, colour, width));
    add(view_of_contamination(examination_, name_of_, colour, width));
    if (examination_.is_stopped) text += fmt::format("\nstopped by {}: this is what was looked at until then\n", stop_signal_name());
    if (!command_.html.empty())
      text +=
          fmt::format("\nwritten: {}{}\n", command_.html.string(), command_.json_file.empty() ? "" : ", " + command_.json_file.string());
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
  }

  const CheckCommand& command_;
  std::vector<std::unique_ptr<Tokenizer>> tokenizers_;
  std::vector<DataSetToExamine> sets_;
  std::optional<RowRules> given_rules_;  ///< of data sets that are given themselves
  std::vector<UserError> errors_, errors_of_recipe_;
  Json recipe_reports_ = Json::array();
  Examination examination_;
};

}  // namespace

int run_check(const CheckCommand& command) {
  return Check(command).run();
}

}  // namespace multimeditron
