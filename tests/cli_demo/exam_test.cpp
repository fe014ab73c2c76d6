#include "cli/demo/exam.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "cli/demo/stages.h"
#include "recipe/recipe.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

TEST(Exam, CountsExactAnswersAgainstTheCommonestOne) {
  const std::vector<Answer> answers = {{Topic::kFinding, "a", "Is there a finding?", "yes", "yes"},
                                       {Topic::kFinding, "b", "Is there a finding?", "yes", "yes."},
                                       {Topic::kFinding, "c", "Is there a finding?", "no", "yes"},
                                       {Topic::kSide, "a", "On which side is the finding?", "left", "left"}};
  const std::vector<Score> scores = score(answers);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(scores[0].questions, 0);
  EXPECT_EQ(scores[1].right, 1);
  EXPECT_EQ(scores[1].majority, 2);
  EXPECT_EQ(scores[1].questions, 3);
  EXPECT_EQ(scores[2].right, 1);
  const std::string table = answer_table(answers, 2);
  EXPECT_NE(table.find("yes."), std::string::npos);
  EXPECT_EQ(table.find("wrong"), table.rfind("wrong"));  // image c is not shown
  EXPECT_NE(score_table(scores).find("33.3 %"), std::string::npos);
}

TEST(Stages, RecipesHaveNoMistakesWhateverTheFolderIsCalled) {
  const fs::path folder = fs::path(testing::TempDir()) / "demo's #1: a \"folder\"";
  fs::create_directories(folder / "recipes");
  const std::vector<Stage> stages = make_stages(folder, 7);
  ASSERT_EQ(stages.size(), 3u);
  const TrainingMode modes[] = {TrainingMode::kLmOnly, TrainingMode::kAlignment, TrainingMode::kEnd2End};
  for (size_t i = 0; i < stages.size(); ++i) {
    write_file_atomic(stages[i].recipe, stages[i].yaml);
    const Recipe recipe = load_recipe(stages[i].recipe, {});
    EXPECT_EQ(recipe.training_mode, modes[i]);
    EXPECT_EQ(recipe.seed, 7);
    EXPECT_EQ(fs::path(recipe.training_args.output_dir).parent_path(), folder / "runs");
    EXPECT_TRUE(recipe.warnings.empty());
    EXPECT_TRUE(recipe.notes.empty()) << recipe.notes.front();
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace multimeditron::demo
