#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/demo/data_sets.h"
#include "cli/demo/exam.h"
#include "cli/demo/models.h"
#include "cli/demo/stages.h"
#include "cli/engine.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShownImages = 4;

void say(OutputMode mode, const std::string& text) {
  if (mode != OutputMode::kNormal) return;
  fmt::print("{}\n", text);
  std::fflush(stdout);
}

/// The folder is a demo's of this seed, or empty: nothing of somebody else's is written over.
void take_folder(const fs::path& folder, int64_t seed) {
  const fs::path mark = folder / "demo.json";
  if (fs::exists(mark)) {
    const int64_t found = read_json(mark).value("seed", int64_t{-1});
    if (found == seed) return;
    throw UserError("this folder holds a demo of another seed",
                    {folder.string(), fmt::format("seed {} where {} was asked for", found, seed), "choose another folder with --output"});
  }
  if (fs::exists(folder) && !fs::is_empty(folder)) {
    throw UserError("this folder holds something else", {folder.string(), "no demo.json in it", "choose another folder with --output"});
  }
  fs::create_directories(folder);
  write_file_atomic(mark, Json{{"seed", seed}}.dump() + "\n");
}

void prepare(const DemoCommand& command) {
  const fs::path& folder = command.output;
  const auto seed = static_cast<uint64_t>(command.seed);
  const auto start = std::chrono::steady_clock::now();
  if (!fs::exists(folder / "data" / "test")) say(command.mode, fmt::format("drawing phantom images into {}", (folder / "data").string()));
  demo::write_data_sets(folder / "data", seed);
  demo::write_sample_images(folder / "images", seed, kShownImages);
  if (!fs::exists(folder / "models" / "llm" / "config.json")) {
    demo::train_tokenizer(folder / "models" / "llm", seed);
    demo::write_language_model(folder / "models" / "llm", seed);
  }
  if (!fs::exists(folder / "models" / "clip" / "config.json")) demo::write_vision_tower(folder / "models" / "clip", seed);
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  say(command.mode,
      fmt::format("data sets, a random language model and a random vision tower are in place ({})", format_duration(passed.count())));
}

void train_stage(const demo::Stage& stage, OutputMode mode) {
  say(mode, fmt::format("\n{}\n$ multimeditron train --config {}", stage.title, stage.recipe.string()));
  fs::create_directories(stage.recipe.parent_path());
  write_file_atomic(stage.recipe, stage.yaml);
  TrainCommand command;
  command.recipe = load_recipe(stage.recipe, {});
  command.output = mode;
  run_train(command);
}

void write_answers(const fs::path& file, const std::vector<demo::Answer>& answers) {
  std::string lines;
  for (const demo::Answer& each : answers) {
    lines += Json{{"image", each.image},
                  {"topic", to_string(each.topic)},
                  {"question", each.question},
                  {"expected", each.expected},
                  {"answer", each.answer}}
                 .dump() +
             "\n";
  }
  write_file_atomic(file, lines);
}

}  // namespace

int run_demo(const DemoCommand& command) {
  const fs::path& folder = command.output;
  take_folder(folder, command.seed);
  prepare(command);
  for (const demo::Stage& stage : demo::make_stages(folder, static_cast<uint64_t>(command.seed))) train_stage(stage, command.mode);

  const fs::path checkpoint = demo::final_checkpoint(folder);
  say(command.mode, fmt::format("\nquestions on images that the model has not seen ({})", (folder / "data" / "test").string()));
  const std::vector<demo::Answer> answers = demo::sit_exam(checkpoint, folder / "data" / "test");
  write_answers(folder / "answers.jsonl", answers);
  say(command.mode, demo::answer_table(answers, kShownImages));
  fmt::print("{}", demo::score_table(demo::score(answers)));
  say(command.mode, fmt::format("\nask it yourself:\n$ multimeditron generate --model {} --image {} \"What kind of image is this?\"",
                                checkpoint.string(), (folder / "images" / "test-1.png").string()));
  return kExitDone;
}

}  // namespace multimeditron
