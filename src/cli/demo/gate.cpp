#include "cli/demo/gate.h"

#include <fmt/format.h>

#include "cli/demo/data_sets.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTitle = "gate: a small network learns to tell the kinds of images apart";

std::string class_map(const char* key, const fs::path& folder) {
  std::string yaml = fmt::format("{}:\n", key);
  for (size_t i = 0; i < kKinds.size(); ++i) yaml += fmt::format("  {}: {}\n", i, quoted(folder / folder_of(kKinds[i])));
  return yaml;
}

}  // namespace

void write_gate_data(const fs::path& folder, uint64_t seed, const GateSizes& sizes) {
  write_kinds(folder / "data" / "kinds", seed, Split::kPairs, sizes.training);
  write_kinds(folder / "data" / "kinds-test", seed, Split::kTest, sizes.test);
  write_regions(folder / "data" / "regions", seed, 2 * sizes.test * static_cast<int64_t>(kKinds.size()));  // every other has a finding
}

Stage make_gate_stage(const fs::path& folder, const std::vector<std::string>& class_names, const fs::path& image_processor, uint64_t seed,
                      bool quick) {
  Stage stage{.name = "gate",
              .title = kTitle,
              .command = "train-gate",
              .recipe = folder / "recipes" / "gate.yaml",
              .run = folder / "runs" / "gate",
              .yaml = {}};
  stage.yaml = fmt::format("# Written by `multimeditron demo`. {}\nnum_classes: {}\ntop_k: 1\nimage_processor_path: {}\nclass_names:\n",
                           kTitle, kKinds.size(), quoted(image_processor));
  for (const std::string& name : class_names) stage.yaml += fmt::format("- {}\n", quoted(fs::path(name)));
  stage.yaml += "class_labels: [CT, MRI, ultrasound, X-ray, drawing]\n";
  stage.yaml += class_map("dataset_class_map", folder / "data" / "kinds");
  stage.yaml += class_map("test_dataset_class_map", folder / "data" / "kinds-test");
  stage.yaml += fmt::format(
      "val_split: 0.1\n"
      "seed: {}\n"
      "pretrained_backbone: null\n"
      "widths: [16, 16, 32, 64]\n"
      "blocks: [1, 1, 1, 1]\n"
      "num_epochs: {}\n"
      "early_stopping_patience: 3\n"
      "lr: 3.0e-3\n"
      "weight_decay: 1.0e-4\n"
      "label_smoothing: 0.05\n"
      "batch_size: 32\n"
      "scheduler: cosine\n"
      "warmup_epochs: 1\n"
      "save_every_n_epochs: 4\n"
      "output_dir: {}\n",
      seed, quick ? 2 : 8, quoted(stage.run));
  return stage;
}

}  // namespace multimeditron::demo
