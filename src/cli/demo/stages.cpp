#include "cli/demo/stages.h"

#include <fmt/format.h>

#include "cli/demo/data_sets.h"
#include "cli/demo/gate.h"
#include "cli/demo/models.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

/// How long and how fast a stage learns; tuned by trial on several seeds (docs/training.md).
struct Course {
  const char* name;
  const char* title;
  const char* training_mode;  // empty: train-expert
  const char* data;
  int64_t batch_size, steps, warmup;
  double learning_rate, weight_decay;
};

constexpr Course kVision = {"vision", "vision: a CLIP learns which caption belongs to which image", "", "pairs", 128, 800, 50, 1e-3, 0.1};
constexpr Course kWarmup = {
    "warmup", "warm-up: the language model learns to read reports, without images", "LM_ONLY", "text", 32, 150, 10, 1e-3, 0.01};
constexpr Course kAlignment = {"alignment", "stage 1: the projector learns to caption images", "ALIGNMENT", "alignment", 32, 250, 10, 2e-3,
                               0.01};
constexpr Course kEnd2End = {
    "end2end", "stage 2: language model and projector learn to answer questions on images", "END2END", "instructions", 32, 900, 10, 1e-3,
    0.01};

/// Specialists go on from the generalist, on one kind of image each.
constexpr Course kExperts[] = {{"expert-ct", "expert: a CLIP for CT", "", "kinds/ct", 64, 100, 5, 3e-4, 0.1},
                               {"expert-mri", "expert: a CLIP for MRI", "", "kinds/mri", 64, 100, 5, 3e-4, 0.1},
                               {"expert-ultrasound", "expert: a CLIP for ultrasound", "", "kinds/ultrasound", 64, 100, 5, 3e-4, 0.1},
                               {"expert-xray", "expert: a CLIP for X-ray", "", "kinds/xray", 64, 100, 5, 3e-4, 0.1}};

/// Of stage 2 with a mixture, and with the single CLIP that it is compared with.
constexpr int64_t kMixtureSteps = 600;

Course with_fewer_steps(Course course) {
  constexpr int64_t kFewer = 20;
  course.steps /= kFewer;
  course.warmup = 1;
  return course;
}

bool is_expert(const Course& course) {
  return course.training_mode[0] == '\0';
}

/// A string as YAML takes it, whatever characters a path has.
std::string quoted(const fs::path& path) {
  std::string text = "'";
  for (const char c : path.string()) text += c == '\'' ? "''" : std::string(1, c);
  return text + "'";
}

fs::path run_of(const fs::path& folder, const Course& course) {
  return folder / "runs" / course.name;
}

std::string training_args(const fs::path& folder, const Course& course, uint64_t seed) {
  return fmt::format(
      "training_args:\n"
      "  output_dir: {}\n"
      "  run_name: demo-{}\n"
      "  learning_rate: {}\n"
      "  lr_scheduler_type: cosine_with_min_lr\n"
      "  lr_scheduler_kwargs:\n"
      "    min_lr: {}\n"
      "  warmup_steps: {}\n"
      "  bf16: true\n"
      "  per_device_train_batch_size: {}\n"
      "  max_steps: {}\n"
      "  weight_decay: {}\n"
      "  max_grad_norm: 1.0\n"
      "  save_strategy: steps\n"
      "  save_steps: 0.25\n"
      "  save_total_limit: 1\n"
      "  logging_steps: 20\n"
      "  report_to: none\n"
      "  seed: {}\n",
      quoted(run_of(folder, course)), course.name, course.learning_rate, course.learning_rate / 10, course.warmup, course.batch_size,
      course.steps, course.weight_decay, seed);
}

std::string single_clip(const fs::path& clip) {
  return fmt::format("modalities:\n- model_type: meditron_clip\n  clip_name: {}\n  hidden_size: {}\n  projection_type: mlp\n", quoted(clip),
                     kHiddenSize);
}

/// `modalities`: what sees. `start`: the keys that say where the weights come from.
Stage make_stage(const fs::path& folder, const Course& course, const std::string& start, const std::string& modalities, uint64_t seed) {
  std::string yaml = fmt::format("# Written by `multimeditron demo`. {}\n{}seed: {}\n", course.title, start, seed);
  yaml += fmt::format("attachment_token: {}\n", kAttachmentToken);
  if (!is_expert(course)) {
    yaml += fmt::format("tokenizer_type: qwen3\ntoken_size: {}\nlabel_mask: assistant\n", kHiddenSize);
    if (std::string_view(course.training_mode) != "LM_ONLY") {
      yaml += "loaders:\n- loader_type: raw-image\n  modality_type: image\n" + modalities;
    }
    yaml += fmt::format("training_mode: {}\n", course.training_mode);
  }
  yaml += fmt::format("datasets:\n- packed_path: {}\n{}", quoted(folder / "data" / course.data), training_args(folder, course, seed));
  return {.name = course.name,
          .title = course.title,
          .command = is_expert(course) ? "train-expert" : "train",
          .recipe = folder / "recipes" / fmt::format("{}.yaml", course.name),
          .run = run_of(folder, course),
          .yaml = std::move(yaml)};
}

}  // namespace

std::vector<Stage> make_stages(const fs::path& folder, uint64_t seed, bool quick) {
  const auto scaled = [quick](const Course& course) { return quick ? with_fewer_steps(course) : course; };
  const Course vision = scaled(kVision), warmup = scaled(kWarmup), alignment = scaled(kAlignment), end2end = scaled(kEnd2End);
  const auto start = [](const char* key, const fs::path& path) { return fmt::format("{}: {}\n", key, quoted(path)); };
  const std::string clip = single_clip(run_of(folder, vision));
  return {make_stage(folder, vision, start("clip_name", folder / "models" / "clip") + "from_scratch: true\n", clip, seed),
          make_stage(folder, warmup, start("base_llm", folder / "models" / "llm"), clip, seed),
          make_stage(folder, alignment, start("base_llm", run_of(folder, warmup)), clip, seed),
          make_stage(folder, end2end, start("base_model", run_of(folder, alignment)), clip, seed)};
}

Mixture parse_mixture(const std::string& name) {
  const std::string fusion = fs::path(name).parent_path().filename().string();
  return {.fusion_method = fusion == "attn"  ? "cross_attn"
                           : fusion == "avg" ? "weighted_average"
                                             : "sequence_append",
          .is_pep = fs::path(name).filename() == "pep"};
}

std::vector<Stage> make_mixture_stages(const fs::path& folder, const Mixture& mixture, uint64_t seed, bool quick) {
  const auto scaled = [quick](const Course& course) { return quick ? with_fewer_steps(course) : course; };
  const auto renamed = [](Course course, const char* name, const char* title) {
    course.name = name;
    course.title = title;
    return course;
  };
  const auto start = [](const char* key, const fs::path& path) { return fmt::format("{}: {}\n", key, quoted(path)); };
  const std::vector<Stage> single = make_stages(folder, seed, quick);  // vision, warmup, alignment, end2end
  std::vector<Stage> stages{single[0]};
  std::vector<std::string> experts;
  for (const Course& expert : kExperts) {
    stages.push_back(make_stage(folder, scaled(expert), start("clip_name", single[0].run), "", seed));
    experts.push_back(stages.back().run.string());
  }
  experts.push_back(single[0].run.string());  // the generalist
  stages.push_back(make_gate_stage(folder, experts, single[0].run, seed, quick));

  std::string modalities = fmt::format("modalities:\n- model_type: moe_meditron_clip{}\n  image_processor: {}\n  hidden_size: {}\n",
                                       mixture.is_pep ? "_pep" : "", quoted(single[0].run), kHiddenSize);
  modalities += "  expert_clip_names:\n";
  for (const std::string& expert : experts) modalities += fmt::format("  - {}\n", quoted(fs::path(expert)));
  modalities += fmt::format("  generalist_idx: -1\n  gating_path: {}\n  fusion_method: {}\n  top_k_experts: {}\n",
                            quoted(stages.back().run / "best"), mixture.fusion_method, experts.size());
  stages.push_back(single[1]);
  const auto add_course = [&](const Course& alignment, const Course& end2end, const std::string& eyes) {
    stages.push_back(make_stage(folder, scaled(alignment), start("base_llm", single[1].run), eyes, seed));
    stages.push_back(make_stage(folder, scaled(end2end), start("base_model", stages.back().run), eyes, seed));
  };
  Course end2end = kEnd2End;
  end2end.steps = kMixtureSteps;
  add_course(kAlignment, end2end, modalities);
  add_course(renamed(kAlignment, "alignment-single", "stage 1 with the generalist alone, to compare with"),
             renamed(end2end, "end2end-single", "stage 2 with the generalist alone"), single_clip(single[0].run));
  return stages;
}

}  // namespace multimeditron::demo
