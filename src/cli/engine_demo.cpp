#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/signals.h"
#include "checkpoint/folder.h"
#include "cli/demo/data_sets.h"
#include "cli/demo/gate.h"
#include "cli/demo/models.h"
#include "cli/demo/stages.h"
#include "cli/engine.h"
#include "report/report.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr demo::GateSizes kQuickKinds{.training = 120, .test = 12};
constexpr demo::DataSetSizes kQuickSizes{.texts = 240, .pairs = 240, .captions = 120, .instructions = 120, .test_images = 60};

/// A demo in its folder: phases in order, each done once. `demo.json` remembers seed, and of each phase that is done what it was and took.
class Demo {
 public:
  explicit Demo(const DemoCommand& command) : command_(command), folder_(command.output), seed_(static_cast<uint64_t>(command.seed)) {}

  void run() {
    const bool has_mixture = command_.recipe.starts_with("moe/"), has_llm = !command_.llm.empty();
    std::vector<demo::Stage> stages;
    if (has_llm) {
      stages = demo::make_llm_stages(folder_, demo::read_language_model(command_.llm), seed_, command_.quick);
    } else if (has_mixture) {
      stages = demo::make_mixture_stages(folder_, demo::parse_mixture(command_.recipe), seed_, command_.quick);
    } else {
      stages = demo::make_stages(folder_, seed_, command_.quick);
    }
    take_folder();
    phase("data", "drawing phantom images and what is to be said about them", "", "data", [&, this] {
      const demo::DataSetSizes sizes = command_.quick ? kQuickSizes : demo::DataSetSizes{};
      demo::write_data_sets(folder_ / "data", seed_, sizes);
      if (has_mixture) demo::write_gate_data(folder_, seed_, command_.quick ? kQuickKinds : demo::GateSizes{});
      return Json{{"images", sizes.pairs + sizes.captions + sizes.instructions + sizes.test_images}};
    });
    phase("models", "a tokenizer, trained on the reports, and models with random weights", "", "models", [this] { return make_models(); });
    for (const demo::Stage& stage : stages) {
      phase(stage.name, stage.title, fmt::format("multimeditron {} --config {}", stage.command, stage.recipe.string()),
            stage.run.lexically_relative(folder_).string(), [&] { return train(stage); });
    }
    const fs::path model = folder_ / "runs" / "end2end";
    examine(model, "evaluation", "questions on images that the model has not seen");
    if (has_llm) examine(folder_ / "runs" / "end2end-small", "evaluation-small", "the same questions to the demo's own language model");
    if (has_mixture) examine(folder_ / "runs" / "end2end-single", "evaluation-single", "the same questions to the model with one CLIP");
    const std::array<fs::path, 1> folders{folder_};
    const ReportSummary report = write_report(folders);
    say(fmt::format(
        "\nall of it as a page: {}\n\nask the model yourself:\n$ multimeditron generate --model {} --image {} \"What kind of image "
        "is this?\"",
        report.file.string(), model.string(), first_image().string()));
  }

 private:
  void say(const std::string& text) const {
    if (command_.mode != OutputMode::kNormal) return;
    fmt::print("{}\n", text);
    std::fflush(stdout);
  }

  static std::string described(int64_t seed, bool quick, const std::string& recipe, const std::string& llm) {
    return fmt::format("seed {}{}{}{}", seed, quick ? ", --quick" : "", recipe.empty() ? "" : ", --recipe " + recipe,
                       llm.empty() ? "" : ", --llm " + llm);
  }

  /// Reads the record of an earlier launch and says what was asked for then.
  std::string described_record(const fs::path& mark) {
    try {
      record_ = read_json(mark);
      for (const Json& phase : record_.at("phases")) phase.at("name").get<std::string>();
      return described(record_.value("seed", int64_t{-1}), record_.value("quick", false), record_.value("recipe", std::string()),
                       record_.value("llm", std::string()));
    } catch (const Json::exception& error) {
      throw UserError("the demo's record cannot be read",
                      {mark.string(), error.what(), "undo the edit of this file, or choose another folder with --output"});
    }
  }

  /// The folder is a demo's of this seed, or empty: nothing of somebody else's is written over. One demo at a time has it.
  void take_folder() {
    const fs::path mark = folder_ / "demo.json";
    // A kill while demo.json was written for the first time leaves its temporary file behind.
    const auto is_ours = [](const fs::directory_entry& entry) {
      const std::string name = entry.path().filename().string();
      return name == ".lock" || name.starts_with("demo.json.tmp");
    };
    if (fs::exists(folder_) && !fs::exists(mark) && !std::all_of(fs::directory_iterator(folder_), fs::directory_iterator(), is_ours)) {
      throw UserError("this folder holds something else", {folder_.string(), "no demo.json in it", "choose another folder with --output"});
    }
    lock_.emplace(folder_);
    if (fs::exists(mark)) {
      const std::string found = described_record(mark), asked = described(command_.seed, command_.quick, command_.recipe, command_.llm);
      if (found == asked) return;
      throw UserError("this folder holds another demo",
                      {folder_.string(), fmt::format("{} where {} was asked for", found, asked), "choose another folder with --output"});
    }
    record_ = {{"seed", command_.seed}, {"quick", command_.quick}, {"phases", Json::array()}};
    if (!command_.recipe.empty()) record_["recipe"] = command_.recipe;
    if (!command_.llm.empty()) record_["llm"] = command_.llm;
    save_record();
  }

  void save_record() const { write_file_atomic(folder_ / "demo.json", record_.dump(1) + "\n"); }

  bool is_done(const std::string& name) const {
    for (const Json& phase : record_.at("phases")) {
      if (phase.at("name") == name) return true;
    }
    return false;
  }

  /// Runs `body` unless an earlier launch has come past it, and remembers it with what it returns. `where`: below the demo's folder.
  void phase(const std::string& name, const std::string& title, const std::string& shown_command, const std::string& where,
             const std::function<Json()>& body) {
    if (is_done(name)) {
      say(fmt::format("{}: done already", name));
      return;
    }
    if (stop_requested()) throw Interrupted();  // since the last training took the signals
    say(fmt::format("\n{}", title));
    if (!shown_command.empty()) say("$ " + shown_command);
    const auto start = std::chrono::steady_clock::now();
    release_free_memory();  // of the phase before, so that each phase's peak is its own
    reset_peak_resident();
    const Json details = body();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    Json done{{"name", name},
              {"title", title},
              {"command", shown_command},
              {"folder", where},
              {"seconds", std::max(passed.count(), seconds_of_steps(folder_ / where / "metrics.jsonl"))},
              {"peak_memory_bytes", peak_resident_bytes()}};
    done.update(details);
    record_.at("phases").push_back(std::move(done));
    save_record();
  }

  /// Of all launches of a run; 0 where it is none. A phase that was killed took longer than its last launch.
  static double seconds_of_steps(const fs::path& metrics) {
    double seconds = 0;
    std::ifstream lines(metrics);
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (json.is_object() && json.contains("loss")) seconds += json.value("seconds", 0.0);
    }
    return seconds;
  }

  Json make_models() const {
    const fs::path llm = folder_ / "models" / "llm";
    demo::train_tokenizer(llm, seed_);
    demo::write_language_model(llm, command_.recipe.empty() ? "qwen3" : "llama", seed_);  // as the recipe's
    demo::write_clip(folder_ / "models" / "clip", llm);
    return Json::object();
  }

  /// The stage's recipe as it stands in the folder, written where it is missing, trained as its command would.
  Json train(const demo::Stage& stage) const {
    fs::create_directories(stage.recipe.parent_path());
    if (!fs::exists(stage.recipe)) write_file_atomic(stage.recipe, stage.yaml);
    if (stage.command == "train-expert") {
      run_train_expert({.recipe = load_expert_recipe(stage.recipe, {}), .output = command_.mode});
    } else if (stage.command == "train-gate") {
      run_train_gate({.recipe = load_gate_recipe(stage.recipe, {}), .output = command_.mode});
    } else {
      run_train({.recipe = load_recipe(stage.recipe, {}), .output = command_.mode});
    }
    return Json::object();
  }

  /// A phase that asks a model the questions of the test draw.
  void examine(const fs::path& model, const std::string& name, const std::string& title) {
    EvaluateCommand evaluation;
    evaluation.model = model.string();
    evaluation.tasks.push_back({"test", folder_ / "data" / "test.jsonl"});
    evaluation.output = folder_ / name;
    evaluation.max_new_tokens = 12;
    evaluation.seed = command_.seed;
    evaluation.mode = command_.mode;
    const std::string shown = fmt::format("multimeditron evaluate --model {} --tasks {} --max-new-tokens {} --output {}", evaluation.model,
                                          evaluation.tasks[0].file.string(), evaluation.max_new_tokens, evaluation.output.string());
    phase(name, title, shown, name, [&] {
      run_evaluate(evaluation);
      return Json::object();
    });
  }

  fs::path first_image() const {
    const std::string lines = read_file(folder_ / "data" / "test.jsonl");
    return folder_ / "data" / Json::parse(lines.substr(0, lines.find('\n'))).at("image").get<std::string>();
  }

  const DemoCommand& command_;
  fs::path folder_;
  uint64_t seed_;
  std::optional<RunLock> lock_;
  Json record_;
};

}  // namespace

int run_demo(const DemoCommand& command) {
  Demo(command).run();
  return kExitDone;
}

}  // namespace multimeditron
