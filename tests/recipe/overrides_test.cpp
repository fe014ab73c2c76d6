#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

TEST(Overrides, SetValuesByPathAndIndex) {
  const Recipe recipe =
      load(kSmall, {"training_args.max_steps=10", "datasets.0.packed_path=x=y", "datasets.1.packed_path=z", "custom_lr.projector=1e-3",
                    "modalities.0.image_processor=null", "attachment_token=<|image|>", "training_args.report_to=[wandb, tensorboard]",
                    "training_args.run_name='3'", "training_args.max_steps=11"});
  EXPECT_EQ(recipe.training_args.max_steps, 11);
  ASSERT_EQ(recipe.datasets.size(), 2U);
  EXPECT_EQ(recipe.datasets[0].packed_path, "x=y");
  EXPECT_EQ(recipe.datasets[1].packed_path, "z");
  EXPECT_EQ(recipe.custom_lr.projector, 1e-3);
  EXPECT_EQ(recipe.modalities[0].image_processor, "");
  EXPECT_EQ(recipe.attachment_token, "<|image|>");
  EXPECT_EQ(recipe.training_args.report_to, "wandb,tensorboard");
  EXPECT_EQ(recipe.training_args.run_name, "3");
}

TEST(Overrides, ExpandVariables) {
  const Variable name("RECIPE_TEST_NAME", "n"), unset("RECIPE_TEST_UNSET");
  EXPECT_EQ(load(kSmall, {"training_args.run_name=$RECIPE_TEST_NAME"}).training_args.run_name, "n");
  EXPECT_NE(mistakes(kSmall, {"base_llm=$RECIPE_TEST_UNSET/x"}).find("where: override `base_llm=$RECIPE_TEST_UNSET/x`"), std::string::npos);
}

TEST(Overrides, MistakesPointToTheOverride) {
  EXPECT_EQ(
      mistakes(kSmall, {"training_args.max_step=1"}),
      "unknown key `max_step`\n  where: override `training_args.max_step=1`\n  found: `max_step`, which is no key of `training_args`\n"
      "  fix:   did you mean `max_steps`?");
  EXPECT_EQ(mistakes(kSmall, {"seed=x"}),
            "`seed` must be a whole number\n  where: override `seed=x`\n  found: `x`\n  fix:   write a whole number");
  EXPECT_EQ(mistakes(kSmall, {"max_steps"}),
            "an override has the form key.path=value\n  where: override `max_steps`\n  found: `max_steps`\n  fix:   for instance "
            "`training_args.learning_rate=1e-4`");
  EXPECT_EQ(mistakes(kSmall, {"datasets.5.packed_path=x"}),
            "`datasets` has no item 5\n  where: override `datasets.5.packed_path=x`\n  found: 1 item\n  fix:   `datasets.1` would add one");
  EXPECT_EQ(mistakes(kSmall, {"datasets.packed_path=x"}),
            "`datasets` is a list: an index was expected\n  where: override `datasets.packed_path=x`\n  found: `packed_path`\n  fix:   "
            "write `datasets.0` for its first item");
  EXPECT_EQ(mistakes(kSmall, {"base_llm.x=1"}),
            "`base_llm` has no keys below it\n  where: override `base_llm.x=1`\n  found: its value is `llm`\n  fix:   shorten the "
            "override's path");
  EXPECT_NE(mistakes(kSmall, {"datasets=[1"}).find("the value of an override is not valid YAML"), std::string::npos);
}

TEST(Overrides, ComeBehindTheFilesOwnMistakes) {
  const std::string text = mistakes(kSmall + "label_mask: x\n", {"seed=x"});
  EXPECT_LT(text.find("recipe.yaml:10"), text.find("override `seed=x`"));
}

}  // namespace
}  // namespace multimeditron::testing
