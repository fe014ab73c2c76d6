#include "recipe/gate_recipe.h"

#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

const std::string kGate =
    "num_classes: 2\n"
    "image_processor_path: clip\n"
    "class_names: [experts/ct, experts/mri]\n"
    "class_labels: [CT, MRI]\n"
    "dataset_class_map:\n"
    "  0: data/ct\n"
    "  MRI: [data/mri, data/more]\n"
    "output_dir: out\n";

GateRecipe load_gate(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return load_gate_recipe(write(folder, "gate.yaml", text), overrides);
}

std::string gate_mistakes(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_gate(text, overrides);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no mistake";
}

::testing::AssertionResult holds(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (text.find(part) == std::string::npos) return ::testing::AssertionFailure() << "no \"" << part << "\" in:\n" << text;
  }
  return ::testing::AssertionSuccess();
}

TEST(GateRecipe, ClassesAreNamedByIndexNameOrLabel) {
  const GateRecipe recipe = load_gate(kGate, {"dataset_class_map.experts/ct=data/ct2"});
  const std::vector<std::vector<std::string>> expected{{"data/ct", "data/ct2"}, {"data/mri", "data/more"}};
  EXPECT_EQ(recipe.dataset_class_map, expected);
  EXPECT_EQ(recipe.labels(), (std::vector<std::string>{"CT", "MRI"}));
  EXPECT_EQ(load_gate(kGate, {"class_labels=null", "dataset_class_map={0: x, 1: y}"}).labels()[0], "experts/ct");
}

/// A file with the original's keys and values, as it stands.
TEST(GateRecipe, TakesTheOriginalsFile) {
  const Variable root("STORAGE_ROOT", "/data");
  const GateRecipe recipe = load_gate(R"(
num_classes: 3
top_k: 1
image_processor_path: openai/clip-vit-base-patch32
class_names:
  - ClosedMeditron/MedExpert-CT
  - ClosedMeditron/clip-vit-base-patch32
  - ClosedMeditron/MedExpert-Ultrasound/checkpoint-4350
class_labels: [CT, General, Ultrasound]
dataset_class_map:
  0: [$STORAGE_ROOT/image_ct2]
  1: [$STORAGE_ROOT/image_llava_pretrain]
  2:
    - $STORAGE_ROOT/image_BUSI
    - $STORAGE_ROOT/image_COVID_US
num_epochs: 20
lr: 1e-4
weight_decay: 1e-4
batch_size: 64
num_workers: 4
val_split: 0.1
seed: 42
label_smoothing: 0.05
gradient_accumulation_steps: 1
max_samples_per_class: 10000
pretrained_backbone: microsoft/resnet-50
freeze_backbone: True
unfreeze_after_epoch: 5
scheduler: cosine
warmup_epochs: 2
save_every_n_epochs: 5
output_dir: gate
use_wandb: true
resume_from: null
)");
  EXPECT_EQ(recipe.lr, 1e-4);
  EXPECT_EQ(recipe.max_samples_per_class, 10000);
  EXPECT_EQ(recipe.dataset_class_map[2], (std::vector<std::string>{"/data/image_BUSI", "/data/image_COVID_US"}));
  EXPECT_TRUE(recipe.is_frozen_at_first());
  EXPECT_TRUE(contains(recipe.notes, "`use_wandb` is accepted"));
}

TEST(GateRecipe, TellsAllMistakesAtOnce) {
  EXPECT_TRUE(
      holds(gate_mistakes(kGate, {"num_classes=3", "val_split=0.6", "test_split=0.4", "freeze_backbone=true", "top_k=9", "warmup_epochs=30",
                                  "learning_rate=1"}),
            {"`class_names` disagrees with `num_classes`", "2 names, `num_classes: 3`", "`class_labels` disagrees",
             "nothing is left to train on", "a backbone drawn at random", "`top_k: 9` of 3 classes", "the warm-up is as long as the run",
             "unknown key `learning_rate`", "a class has no data set", "nothing for class 2"}));
}

/// The names' mistake alone: what maps say of the class too many is right once it is mended.
TEST(GateRecipe, AMapMayNameAClassBeyondTheirNumber) {
  const std::string text = gate_mistakes(kGate, {"class_names=[experts/ct, experts/mri, experts/us]", "class_labels=[CT, MRI, US]",
                                                 "dataset_class_map.experts/us=data/us", "test_dataset_class_map={CT: t, MRI: t, 2: t}"});
  EXPECT_TRUE(holds(text, {"`class_names` disagrees with `num_classes`", "3 names, `num_classes: 2`", "`class_labels` disagrees"}));
  EXPECT_EQ(text.find("does not exist"), std::string::npos) << text;
}

TEST(GateRecipe, TellsEachMistake) {
  EXPECT_EQ(gate_mistakes(kGate), "no mistake");
  EXPECT_TRUE(
      holds(gate_mistakes(kGate, {"dataset_class_map.0=[]"}), {"a class has no data set", "nothing for class 0 (CT)", "gate.yaml"}));
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"dataset_class_map.MR=x"}), {"a class that does not exist", "`MR`", "did you mean `MRI`?"}));
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"dataset_class_map.7=x"}), {"a class that does not exist", "by index, 0 to 1"}));
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"class_names=[a, a]"}), {"two classes bear one name", "`a`"}));
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"image_processor_path=null"}), {"`image_processor_path` is missing", "normalisation: imagenet"}));
  EXPECT_EQ(gate_mistakes(kGate, {"image_processor_path=null", "normalisation=imagenet"}), "no mistake");
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"pretrained_backbone=true"}),
                    {"which weights the backbone begins with is not said", "microsoft/resnet-50"}));
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"widths=[8, 16]"}), {"`widths` must be a list of 4 whole numbers", "widths: [8, 16, 32, 64]"}));
  EXPECT_TRUE(holds(gate_mistakes(kGate, {"early_stopping_patience=2", "val_split=0"}), {"early stopping needs a validation draw"}));
  EXPECT_TRUE(holds(gate_mistakes("output_dir: out\n"),
                    {"at least two classes", "`dataset_class_map` is missing", "`image_processor_path` is missing"}));
}

/// Where it writes, how often it saves and how many threads it has do not make another run of it.
TEST(GateRecipe, IsTheSameRunElsewhere) {
  const std::string fingerprint = load_gate(kGate).fingerprint;
  EXPECT_EQ(
      load_gate(kGate, {"output_dir=elsewhere", "num_workers=3", "save_every_n_epochs=1", "resume_from=x", "use_wandb=true"}).fingerprint,
      fingerprint);
  EXPECT_NE(load_gate(kGate, {"lr=1e-3"}).fingerprint, fingerprint);
  EXPECT_NE(load_gate(kGate, {"dataset_class_map.1=y"}).fingerprint, fingerprint);
}

/// What is written into the run's folder reads as the same recipe.
TEST(GateRecipe, ItsEffectiveFormReadsBack) {
  const GateRecipe recipe = load_gate(kGate, {"widths=[4, 8, 8, 8]", "test_dataset_class_map={0: t, 1: u}"});
  const GateRecipe again = load_gate(recipe.effective_yaml);
  EXPECT_EQ(again.effective_yaml, recipe.effective_yaml);
  EXPECT_EQ(again.fingerprint, recipe.fingerprint);
  EXPECT_EQ(again.widths, (std::vector<int64_t>{4, 8, 8, 8}));
}

TEST(GateRecipe, IsToldFromOtherRecipes) {
  const TemporaryFolder folder;
  EXPECT_TRUE(is_gate_recipe(write(folder, "gate.yaml", kGate)));
  EXPECT_FALSE(is_gate_recipe(write(folder, "train.yaml", kSmall)));
  EXPECT_FALSE(is_gate_recipe(folder / "none.yaml"));
}

}  // namespace
}  // namespace multimeditron::testing
