#include "cli/demo/stages.h"

#include <fmt/format.h>

#include "cli/demo/data_sets.h"
#include "cli/demo/models.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

/// How long and how fast a stage learns; tuned by trial on seeds 0 to 3 (docs/training.md).
struct Course {
  const char* name;
  const char* title;
  const char* training_mode;
  const char* data;
  int64_t batch_size, steps;
  double learning_rate;
};

constexpr Course kCourses[] = {
    {"warmup", "warm-up: the language model learns to read reports, without images", "LM_ONLY", "text", 32, 120, 1e-3},
    {"alignment", "stage 1: the projector learns to caption images", "ALIGNMENT", "alignment", 32, 400, 2e-3},
    {"end2end", "stage 2: language model and projector learn to answer questions on images", "END2END", "instructions", 32, 300, 1e-3},
};

/// A string as YAML takes it, whatever characters a path has.
std::string quoted(const fs::path& path) {
  std::string text = "'";
  for (const char c : path.string()) text += c == '\'' ? "''" : std::string(1, c);
  return text + "'";
}

std::string write_recipe(const fs::path& folder, const Course& course, const std::string& start, uint64_t seed) {
  std::string yaml = fmt::format("# Written by `multimeditron demo`. {}\n{}", course.title, start);
  yaml += fmt::format("attachment_token: {}\ntokenizer_type: qwen3\ntoken_size: {}\nseed: {}\nlabel_mask: assistant\n", kAttachmentToken,
                      kHiddenSize, seed);
  if (std::string_view(course.training_mode) != "LM_ONLY") {
    yaml += fmt::format(
        "loaders:\n- loader_type: raw-image\n  modality_type: image\n"
        "modalities:\n- model_type: meditron_clip\n  clip_name: {}\n  hidden_size: {}\n  projection_type: mlp\n",
        quoted(folder / "models" / "clip"), kHiddenSize);
  }
  yaml += fmt::format("training_mode: {}\ndatasets:\n- packed_path: {}\n", course.training_mode, quoted(folder / "data" / course.data));
  yaml += fmt::format(
      "training_args:\n"
      "  output_dir: {}\n"
      "  run_name: demo-{}\n"
      "  learning_rate: {}\n"
      "  lr_scheduler_type: cosine_with_min_lr\n"
      "  lr_scheduler_kwargs:\n"
      "    min_lr: {}\n"
      "  warmup_steps: 10\n"
      "  per_device_train_batch_size: {}\n"
      "  max_steps: {}\n"
      "  weight_decay: 0.01\n"
      "  max_grad_norm: 1.0\n"
      "  save_strategy: steps\n"
      "  save_steps: 0.5\n"
      "  save_total_limit: 1\n"
      "  logging_steps: 20\n"
      "  report_to: none\n"
      "  seed: {}\n",
      quoted(folder / "runs" / course.name), course.name, course.learning_rate, course.learning_rate / 10, course.batch_size, course.steps,
      seed);
  return yaml;
}

fs::path last_checkpoint(const fs::path& folder, const Course& course) {
  return folder / "runs" / course.name / fmt::format("checkpoint-{}", course.steps);
}

}  // namespace

std::vector<Stage> make_stages(const fs::path& folder, uint64_t seed) {
  const std::string starts[] = {
      fmt::format("base_llm: {}\n", quoted(folder / "models" / "llm")),
      fmt::format("base_llm: {}\n", quoted(last_checkpoint(folder, kCourses[0]))),
      fmt::format("base_model: {}\n", quoted(last_checkpoint(folder, kCourses[1]))),
  };
  std::vector<Stage> stages;
  for (size_t i = 0; i < std::size(kCourses); ++i) {
    stages.push_back({kCourses[i].title, folder / "recipes" / fmt::format("{}.yaml", kCourses[i].name),
                      write_recipe(folder, kCourses[i], starts[i], seed)});
  }
  return stages;
}

fs::path final_checkpoint(const fs::path& folder) {
  return last_checkpoint(folder, kCourses[std::size(kCourses) - 1]);
}

}  // namespace multimeditron::demo
