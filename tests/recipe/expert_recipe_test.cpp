#include "recipe/expert_recipe.h"

#include "recipe/missing.h"
#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

const std::string kExpert =
    "clip_name: clip\n"
    "datasets: [{packed_path: pairs}]\n"
    "training_args: {output_dir: out, per_device_train_batch_size: 8, max_steps: 3}\n"
    "zero_shot_class_map:\n"
    "  upper lung: data/upper\n"
    "  lower lung: [data/lower, data/more]\n";

ExpertRecipe load_expert(const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return load_expert_recipe(write(folder, "expert.yaml", kExpert), overrides);
}

std::string expert_mistakes(const std::vector<std::string>& overrides) {
  try {
    load_expert(overrides);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no mistake";
}

TEST(ExpertRecipe, ClassesKeepTheFilesOrder) {
  const ExpertRecipe recipe = load_expert();
  EXPECT_EQ(recipe.zero_shot_classes, (std::vector<std::string>{"upper lung", "lower lung"}));
  EXPECT_EQ(recipe.zero_shot_class_map, (std::vector<std::vector<std::string>>{{"data/upper"}, {"data/lower", "data/more"}}));
  EXPECT_EQ(recipe.zero_shot_templates, (std::vector<std::string>{"a photo of {}."}));
  EXPECT_EQ(load_expert({"zero_shot_templates=[]"}).zero_shot_templates, recipe.zero_shot_templates);
  EXPECT_EQ(load_expert({"zero_shot_templates=[\"{}\", \"a {}\"]"}).zero_shot_templates, (std::vector<std::string>{"{}", "a {}"}));
  const TemporaryFolder folder;  // what a run writes down reads as the same
  const ExpertRecipe again = load_expert_recipe(write(folder, "expert.yaml", recipe.effective_yaml), {});
  EXPECT_EQ(again.zero_shot_classes, recipe.zero_shot_classes);
  EXPECT_EQ(again.zero_shot_class_map, recipe.zero_shot_class_map);
}

/// What is asked at the end does not change what is trained: such a run goes on.
TEST(ExpertRecipe, ZeroShotDoesNotCountForTheFingerprint) {
  EXPECT_EQ(load_expert({"zero_shot_templates=[\"{}\"]"}).fingerprint, load_expert().fingerprint);
  EXPECT_NE(load_expert({"seed=4"}).fingerprint, load_expert().fingerprint);
}

TEST(ExpertRecipe, MistakesInZeroShotAreNamed) {
  EXPECT_NE(expert_mistakes({"zero_shot_class_map={lung: data}"}).find("there is nothing to tell apart"), std::string::npos);
  EXPECT_NE(expert_mistakes({"zero_shot_class_map={lung: data, heart: []}"}).find("a class has no data set"), std::string::npos);
  EXPECT_NE(expert_mistakes({"zero_shot_class_map=data"}).find("zero_shot_class_map"), std::string::npos);
  EXPECT_NE(expert_mistakes({"zero_shot_templates=[a photo]"}).find("write {} where the class's name belongs"), std::string::npos);
}

TEST(ExpertRecipe, WeightsOfDataSetsAreRefusedWithTheirKey) {
  EXPECT_NE(expert_mistakes({"datasets.0.weight=2"}).find("train-expert takes every pair once an epoch"), std::string::npos);
  EXPECT_EQ(expert_mistakes({"datasets.0.weight=1"}), "no mistake");
}

/// `check` names every part that this machine lacks.
TEST(MissingParts, OfEveryKindOfRecipeAreNamed) {
  const TemporaryFolder folder;
  const auto names = [](const std::vector<std::string>& missing, std::vector<std::string> keys) {
    for (const std::string& key : keys) EXPECT_TRUE(contains(missing, key + ": ")) << key;
  };
  names(missing_parts(load_expert_recipe(write(folder, "expert.yaml", kExpert), {})),
        {"clip_name", "zero_shot_class_map.upper lung", "zero_shot_class_map.lower lung", "datasets.0.packed_path"});
  const std::string mixture =
      "modalities=[{model_type: moe_meditron_clip, expert_clip_names: [a, b], gating_path: gate, image_processor: p, top_k_experts: 2}]";
  names(missing_parts(load_recipe(write(folder, "recipe.yaml", kSmall), std::vector<std::string>{mixture})),
        {"base_llm", "modalities.0.expert_clip_names.1", "modalities.0.image_processor", "modalities.0.gating_path"});
}

TEST(MissingParts, APatternIsMissingWhereItMatchesNothing) {
  const TemporaryFolder folder;
  write(folder, "there/train-0.parquet", "");
  const auto missing =
      missing_parts(load_recipe(write(folder, "recipe.yaml", kSmall),
                                std::vector<std::string>{"datasets=[{packed_path: there/*.parquet}, {packed_path: lost/*.parquet}]"}));
  EXPECT_TRUE(contains(missing, "datasets.1.packed_path: lost/*.parquet"));
  EXPECT_FALSE(contains(missing, "datasets.0"));
}

}  // namespace
}  // namespace multimeditron::testing
