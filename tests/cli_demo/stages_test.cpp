#include "cli/demo/stages.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "recipe/expert_recipe.h"
#include "recipe/gate_recipe.h"
#include "recipe/recipe.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

TEST(Stages, RecipesHaveNoMistakesWhateverTheFolderIsCalled) {
  const fs::path folder = fs::path(testing::TempDir()) / "demo's #1: a \"folder\"";
  fs::create_directories(folder / "recipes");
  const std::vector<Stage> stages = make_stages(folder, 7, false);
  ASSERT_EQ(stages.size(), 4U);
  for (const Stage& stage : stages) write_file_atomic(stage.recipe, stage.yaml);

  const auto expect = [&](const Stage& stage, const auto& recipe) {
    EXPECT_EQ(recipe.seed, 7);
    EXPECT_EQ(fs::path(recipe.training_args.output_dir), stage.run);
    EXPECT_EQ(stage.run.parent_path(), folder / "runs");
    EXPECT_TRUE(recipe.warnings.empty());
    EXPECT_TRUE(recipe.notes.empty()) << recipe.notes.front();
  };
  EXPECT_EQ(stages[0].command, "train-expert");
  expect(stages[0], load_expert_recipe(stages[0].recipe, {}));
  const TrainingMode modes[] = {TrainingMode::kLmOnly, TrainingMode::kAlignment, TrainingMode::kEnd2End};
  for (size_t i = 1; i < stages.size(); ++i) {
    const Recipe recipe = load_recipe(stages[i].recipe, {});
    EXPECT_EQ(stages[i].command, "train");
    EXPECT_EQ(recipe.training_mode, modes[i - 1]);
    expect(stages[i], recipe);
  }
  fs::remove_all(folder);
}

TEST(Stages, ALanguageModelOfTheUsersGoesThroughTheSameTwoStages) {
  const fs::path folder = fs::path(testing::TempDir()) / "demo with an llm";
  fs::create_directories(folder / "recipes");
  const std::vector<Stage> stages = make_llm_stages(folder, {folder / "smol", 576, "llama"}, 7, false);
  std::vector<std::string> names;
  for (const Stage& stage : stages) {
    names.push_back(stage.name);
    write_file_atomic(stage.recipe, stage.yaml);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"vision", "warmup", "alignment-small", "end2end-small", "alignment", "end2end"}));
  const Recipe small = load_recipe(stages[2].recipe, {}), large = load_recipe(stages[4].recipe, {}),
               second = load_recipe(stages[5].recipe, {});
  EXPECT_EQ(fs::path(small.base_llm), stages[1].run);
  EXPECT_EQ(fs::path(large.base_llm), folder / "smol");
  EXPECT_EQ(fs::path(second.base_model), stages[4].run);
  for (const Recipe* recipe : {&large, &second}) {
    EXPECT_TRUE(recipe->warnings.empty());
    EXPECT_EQ(recipe->token_size, 576);
    EXPECT_EQ(recipe->modalities.at(0).hidden_size, 576);
    EXPECT_EQ(recipe->tokenizer_type, TokenizerType::kLlama);
    EXPECT_EQ(recipe->modalities.at(0).clip_name, small.modalities.at(0).clip_name);
  }
  fs::remove_all(folder);
}

TEST(Stages, MixturesHaveTheCookbooksShape) {
  const struct {
    const char *name, *model_type, *fusion_method;
  } mixtures[] = {{"moe/attn/pep", "moe_meditron_clip_pep", "cross_attn"},      {"moe/attn/shared", "moe_meditron_clip", "cross_attn"},
                  {"moe/avg/pep", "moe_meditron_clip_pep", "weighted_average"}, {"moe/avg/shared", "moe_meditron_clip", "weighted_average"},
                  {"moe/cat/pep", "moe_meditron_clip_pep", "sequence_append"},  {"moe/cat/shared", "moe_meditron_clip", "sequence_append"}};
  for (const auto& mixture : mixtures) {
    const fs::path folder = fs::path(testing::TempDir()) / "demo's mixture";
    fs::create_directories(folder / "recipes");
    const std::vector<Stage> stages = make_mixture_stages(folder, parse_mixture(mixture.name), 7, false);
    std::vector<std::string> names;
    for (const Stage& stage : stages) {
      names.push_back(stage.name);
      write_file_atomic(stage.recipe, stage.yaml);
    }
    EXPECT_EQ(names, (std::vector<std::string>{"vision", "expert-ct", "expert-mri", "expert-ultrasound", "expert-xray", "gate", "warmup",
                                               "alignment", "end2end", "alignment-single", "end2end-single"}));
    for (const Stage& stage : stages) {
      if (stage.command == "train-expert") {
        EXPECT_TRUE(load_expert_recipe(stage.recipe, {}).warnings.empty());
      } else if (stage.command == "train-gate") {
        EXPECT_EQ(load_gate_recipe(stage.recipe, {}).class_names.size(), 5U);
      }
      if (stage.command != "train" || stage.name == "warmup") continue;
      const Recipe recipe = load_recipe(stage.recipe, {});
      EXPECT_TRUE(recipe.warnings.empty());
      ASSERT_EQ(recipe.modalities.size(), 1U);
      const ModalitySpec& modality = recipe.modalities[0];
      if (stage.name.ends_with("-single")) {
        EXPECT_EQ(modality.model_type, "meditron_clip");
        continue;
      }
      EXPECT_EQ(modality.model_type, mixture.model_type);
      EXPECT_EQ(modality.fusion_method, mixture.fusion_method);
      EXPECT_EQ(modality.expert_clip_names, load_gate_recipe(stages[5].recipe, {}).class_names) << "matched by name";
      EXPECT_EQ(fs::path(modality.gating_path), stages[5].run / "best");
    }
    fs::remove_all(folder);
  }
}

}  // namespace
}  // namespace multimeditron::demo
