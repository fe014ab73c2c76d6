#include "cli/demo/stages.h"

#include <fmt/format.h>

#include <array>

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

/// Specialists go on from the generalist, on one kind of image each, and are asked where in it the finding lies.
struct Expert {
  Kind kind;
  Course course;
  const char* question;  // what a caption says of a class, see zero_shot_templates
};
const Expert kExperts[] = {{Kind::kCt,
                            {"expert-ct", "expert: a CLIP for CT", "", "kinds/ct", 64, 100, 5, 3e-4, 0.1},
                            "Abdominal CT with two large bright lesions in the {} on the"},
                           {Kind::kMri,
                            {"expert-mri", "expert: a CLIP for MRI", "", "kinds/mri", 64, 100, 5, 3e-4, 0.1},
                            "Brain MRI with two large bright lesions in the {} on the"},
                           {Kind::kUltrasound,
                            {"expert-ultrasound", "expert: a CLIP for ultrasound", "", "kinds/ultrasound", 64, 100, 5, 3e-4, 0.1},
                            "Ultrasound scan with two large dark cysts in the {} on the"},
                           {Kind::kXray,
                            {"expert-xray", "expert: a CLIP for X-ray", "", "kinds/xray", 64, 100, 5, 3e-4, 0.1},
                            "Chest X-ray with two large opacities in the {} on the"}};

/// A language model that can read already learns to see in fewer steps; each of them costs more.
constexpr Course kLlmAlignment = {
    "alignment", "stage 1: the projector learns to caption images", "ALIGNMENT", "alignment", 16, 100, 10, 2e-3, 0.01};
constexpr Course kLlmEnd2End = {
    "end2end", "stage 2: language model and projector learn to answer questions on images", "END2END", "instructions", 16, 250, 10, 2e-4,
    0.01};

/// Of stage 2 with a mixture, and with the single CLIP that it is compared with.
constexpr int64_t kMixtureSteps = 450;

Course scaled(Course course, bool quick) {
  constexpr int64_t kFewer = 20;
  if (!quick) return course;
  course.steps /= kFewer;
  course.warmup = 1;
  return course;
}

Course renamed(Course course, const char* name, const char* title) {
  course.name = name;
  course.title = title;
  return course;
}

bool is_expert(const Course& course) {
  return course.training_mode[0] == '\0';
}

/// The generalist tells the kinds apart, by what captions call them.
std::string zero_shot_of_kinds(const fs::path& folder) {
  constexpr std::array kNames = {"Abdominal CT", "Brain MRI", "Ultrasound scan", "Chest X-ray", "Drawing"};
  std::string yaml = "zero_shot_class_map:\n";
  for (size_t i = 0; i < kKinds.size(); ++i)
    yaml += fmt::format("  {}: {}\n", kNames.at(i), quoted(folder / "data" / "kinds-test" / folder_of(kKinds[i])));
  return yaml + "zero_shot_templates: [\"{}.\"]\n";
}

std::string zero_shot_of(const Expert& expert, const fs::path& folder) {
  std::string yaml = "zero_shot_class_map:\n";
  for (const Region region : regions_of(expert.kind))
    yaml += fmt::format("  {}: {}\n", to_string(region), quoted(folder / "data" / "regions" / folder_of(expert.kind) / to_string(region)));
  return yaml + fmt::format("zero_shot_templates: [\"{0} left.\", \"{0} right.\"]\n", expert.question);
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

std::string single_clip(const fs::path& clip, int64_t hidden_size) {
  return fmt::format("modalities:\n- model_type: meditron_clip\n  clip_name: {}\n  hidden_size: {}\n  projection_type: mlp\n", quoted(clip),
                     hidden_size);
}

std::string path_key(const char* key, const fs::path& path) {
  return fmt::format("{}: {}\n", key, quoted(path));
}

std::string language_keys(const LanguageModel& llm) {
  return fmt::format("tokenizer_type: {}\ntoken_size: {}\n", llm.tokenizer_type, llm.hidden_size);
}

/// The demo's own.
LanguageModel small_llm(const fs::path& folder) {
  return {folder / "models" / "llm", kHiddenSize, "qwen3"};
}

/// `modalities`: what sees. `start`: the keys that say where the weights come from and what the language model is like.
Stage make_stage(const fs::path& folder, const Course& course, const std::string& start, const std::string& modalities, uint64_t seed) {
  std::string yaml = fmt::format("# Written by `multimeditron demo`. {}\n{}seed: {}\n", course.title, start, seed);
  yaml += fmt::format("attachment_token: {}\n", kAttachmentToken);
  if (!is_expert(course)) {
    yaml += "label_mask: assistant\n";
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

std::string quoted(const fs::path& path) {
  std::string text = "'";
  for (const char c : path.string()) text += c == '\'' ? "''" : std::string(1, c);
  return text + "'";
}

std::vector<Stage> make_stages(const fs::path& folder, uint64_t seed, bool quick) {
  const Course vision = scaled(kVision, quick), warmup = scaled(kWarmup, quick), alignment = scaled(kAlignment, quick),
               end2end = scaled(kEnd2End, quick);
  const std::string clip = single_clip(run_of(folder, vision), kHiddenSize), language = language_keys(small_llm(folder));
  return {make_stage(folder, vision, path_key("clip_name", folder / "models" / "clip") + "from_scratch: true\n", clip, seed),
          make_stage(folder, warmup, path_key("base_llm", small_llm(folder).folder) + language, clip, seed),
          make_stage(folder, alignment, path_key("base_llm", run_of(folder, warmup)) + language, clip, seed),
          make_stage(folder, end2end, path_key("base_model", run_of(folder, alignment)) + language, clip, seed)};
}

std::vector<Stage> make_llm_stages(const fs::path& folder, const LanguageModel& llm, uint64_t seed, bool quick) {
  std::vector<Stage> stages = make_stages(folder, seed, quick);
  const fs::path vision = stages[0].run, warmup = stages[1].run;
  stages.resize(2);
  const auto add_course = [&](const Course& alignment, const Course& end2end, const LanguageModel& language, const fs::path& weights) {
    const std::string clip = single_clip(vision, language.hidden_size), keys = language_keys(language);
    stages.push_back(make_stage(folder, scaled(alignment, quick), path_key("base_llm", weights) + keys, clip, seed));
    stages.push_back(make_stage(folder, scaled(end2end, quick), path_key("base_model", stages.back().run) + keys, clip, seed));
  };
  add_course(renamed(kAlignment, "alignment-small", "stage 1 with the demo's own language model, to compare with"),
             renamed(kEnd2End, "end2end-small", "stage 2 with the demo's own language model"), small_llm(folder), warmup);
  add_course(kLlmAlignment, kLlmEnd2End, llm, llm.folder);
  return stages;
}

Mixture parse_mixture(const std::string& name) {
  const std::string fusion = fs::path(name).parent_path().filename().string();
  return {.fusion_method = fusion == "attn"  ? "cross_attn"
                           : fusion == "avg" ? "weighted_average"
                                             : "sequence_append",
          .is_pep = fs::path(name).filename() == "pep"};
}

std::vector<Stage> make_mixture_stages(const fs::path& folder, const Mixture& mixture, uint64_t seed, bool quick) {
  const std::vector<Stage> single = make_stages(folder, seed, quick);  // vision, warmup, alignment, end2end
  std::vector<Stage> stages{single[0]};
  stages[0].yaml += zero_shot_of_kinds(folder);
  std::vector<std::string> experts;
  for (const Expert& expert : kExperts) {
    const std::string keys = path_key("clip_name", single[0].run) + zero_shot_of(expert, folder);
    stages.push_back(make_stage(folder, scaled(expert.course, quick), keys, "", seed));
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
  const std::string language = language_keys(small_llm(folder));
  const auto add_course = [&](const Course& alignment, const Course& end2end, const std::string& eyes) {
    stages.push_back(make_stage(folder, scaled(alignment, quick), path_key("base_llm", single[1].run) + language, eyes, seed));
    stages.push_back(make_stage(folder, scaled(end2end, quick), path_key("base_model", stages.back().run) + language, eyes, seed));
  };
  Course end2end = kEnd2End;
  end2end.steps = kMixtureSteps;
  add_course(kAlignment, end2end, modalities);
  add_course(renamed(kAlignment, "alignment-single", "stage 1 with the generalist alone, to compare with"),
             renamed(end2end, "end2end-single", "stage 2 with the generalist alone"), single_clip(single[0].run, kHiddenSize));
  return stages;
}

}  // namespace multimeditron::demo
