#include "cli/demo/stages.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "recipe/expert_recipe.h"
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

}  // namespace
}  // namespace multimeditron::demo
