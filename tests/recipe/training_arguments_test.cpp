#include "recipe/training_arguments.h"

#include "recipe/accepted_arguments.h"
#include "recipe/fields.h"
#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

TEST(TrainingArguments, RealKeysWithoutMeaningAreAcceptedWithOneNote) {
  const Recipe recipe = load(kSmall + "  push_to_hub: false\n  optim: adamw_torch_fused\n  dataloader_pin_memory: True\n");
  ASSERT_EQ(recipe.notes.size(), 3U);
  EXPECT_TRUE(contains(recipe.notes, "recipe.yaml:10:3: `training_args.push_to_hub` is accepted, not used here"));
  EXPECT_TRUE(recipe.warnings.empty());
}

TEST(TrainingArguments, AcceptedValuesThatWouldChangeTheResultAreWarnings) {
  const Recipe recipe = load(kSmall + "  fp16: true\n  optim: sgd\n  label_smoothing_factor: 0.1\n  neftune_noise_alpha: 5\n");
  EXPECT_EQ(recipe.warnings.size(), 4U);
  EXPECT_TRUE(contains(recipe.warnings, "recipe.yaml:11:3: `training_args.optim` is not supported with the value `sgd`"));
  EXPECT_TRUE(load(kSmall + "  fp16: false\n  label_smoothing_factor: 0.0\n  neftune_noise_alpha: null\n").warnings.empty());
}

TEST(TrainingArguments, OtherKeysAreRefusedWithTheNearestRealOne) {
  EXPECT_EQ(
      mistakes(kSmall + "  remove_unused_column: false\n"),
      "unknown key `remove_unused_column`\n  where: recipe.yaml:10:3\n  found: `remove_unused_column`, which is no key of `training_args`\n"
      "  fix:   did you mean `remove_unused_columns`?");
  EXPECT_NE(mistakes(kSmall + "  blorp: 1\n").find("fix:   remove it; `multimeditron schema --markdown` lists all keys"),
            std::string::npos);
}

// Counted in the dataclass TrainingArguments: 133 keys in transformers 4.57.6, 141 with those that came up to 5.17.0; five older names
// beside.
TEST(TrainingArguments, EveryKeyOfTransformersIsKnown) {
  const auto& fields = table<TrainingArguments>();
  EXPECT_EQ(fields.fields.size() + fields.accepted.size(), 141U + 6U);
  for (const char* key : {"overwrite_output_dir", "ddp_timeout", "use_liger_kernel", "dataloader_in_order", "train_sampling_strategy",
                          "enable_jit_checkpoint", "evaluation_strategy", "torch_empty_cache_steps", "parallelism_config"})
    EXPECT_NE(std::find(fields.accepted.begin(), fields.accepted.end(), key), fields.accepted.end()) << key;
  EXPECT_TRUE(std::is_sorted(fields.accepted.begin(), fields.accepted.end()));  // it is searched by halves
}

TEST(TrainingArguments, NestedMapsHaveTheirOwnChecks) {
  EXPECT_EQ(mistakes(kSmall + "  gradient_checkpointing_kwargs: {use_rentrant: true}\n"),
            "unknown key `use_rentrant`\n  where: recipe.yaml:10:35\n  found: `use_rentrant`, which is no key of "
            "`training_args.gradient_checkpointing_kwargs`\n"
            "  fix:   did you mean `use_reentrant`?");
  EXPECT_NE(mistakes(kSmall + "  gradient_checkpointing_kwargs: {use_reentrant: maybe}\n")
                .find("`training_args.gradient_checkpointing_kwargs.use_reentrant` must be true or false"),
            std::string::npos);
  EXPECT_NE(mistakes(kSmall + "  accelerator_config: {dispatch: false}\n").find("`training_args.accelerator_config`"), std::string::npos);
  EXPECT_NE(mistakes(kSmall + "  accelerator_config: [1]\n").find("`training_args.accelerator_config` must be a map"), std::string::npos);
  EXPECT_EQ(load(kSmall + "  accelerator_config: config.json\n").notes.size(), 1U);
}

TEST(TrainingArguments, SchedulesTakeTheirOwnKeysOnly) {
  const std::string kwargs = "  lr_scheduler_kwargs: {";
  EXPECT_EQ(load(kSmall + "  lr_scheduler_type: cosine\n").training_args.num_cycles, 0.5);
  EXPECT_EQ(load(kSmall + "  lr_scheduler_type: cosine_with_restarts\n").training_args.num_cycles, 1);
  EXPECT_EQ(load(kSmall + "  lr_scheduler_type: cosine_with_restarts\n" + kwargs + "num_cycles: 3}\n").training_args.num_cycles, 3);
  EXPECT_EQ(load(kSmall + "  lr_scheduler_type: polynomial\n" + kwargs + "power: 2, lr_end: 1e-6}\n").training_args.lr_end, 1e-6);
  EXPECT_EQ(load(kSmall + "  lr_scheduler_type: cosine_with_min_lr\n" + kwargs + "min_lr_rate: 0.1}\n").training_args.min_lr_rate, 0.1);
  EXPECT_EQ(
      mistakes(kSmall + "  lr_scheduler_type: cosine\n" + kwargs + "min_lr: 1e-6}\n"),
      "`min_lr` has no meaning for the schedule `cosine`\n  where: recipe.yaml:11:33\n  found: `training_args.lr_scheduler_kwargs.min_lr`\n"
      "  fix:   keys of this schedule: num_cycles");
  EXPECT_EQ(mistakes(kSmall + "  lr_scheduler_type: cosine_with_min_lr\n"),
            "cosine_with_min_lr needs one lowest rate\n  where: recipe.yaml:10:22\n  found: neither `min_lr` nor `min_lr_rate`\n"
            "  fix:   write for instance `lr_scheduler_kwargs: {min_lr: 3e-5}` with one of the two");
  EXPECT_NE(mistakes(kSmall + "  lr_scheduler_type: cosine_with_min_lr\n" + kwargs + "min_lr: 1e-6, min_lr_rate: 0.1}\n")
                .find("both `min_lr` and `min_lr_rate`"),
            std::string::npos);
  EXPECT_TRUE(contains(load(kSmall + "  lr_scheduler_type: cosine_with_min_lr\n" + kwargs + "min_lr: 1e-3}\n").warnings,
                       "`min_lr` (0.001) is above `learning_rate` (5e-05): the rate will rise"));
}

TEST(TrainingArguments, SchedulesThatDivideByTheRateNeedOne) {
  const std::string none = kSmall + "  learning_rate: 0\n  lr_scheduler_type: ";
  EXPECT_NE(mistakes(none + "polynomial\n").find("the schedule `polynomial` needs a `learning_rate` above 0"), std::string::npos);
  EXPECT_NE(mistakes(none + "cosine_with_min_lr\n  lr_scheduler_kwargs: {min_lr: 1e-6}\n").find("where: recipe.yaml:10:18"),
            std::string::npos);
  EXPECT_EQ(load(none + "cosine_with_min_lr\n  lr_scheduler_kwargs: {min_lr_rate: 0.1}\n").training_args.learning_rate, 0);
  EXPECT_EQ(load(none + "linear\n").training_args.learning_rate, 0);
}

TEST(TrainingArguments, IntervalsAreWholeStepsOrShares) {
  EXPECT_EQ(load(kSmall + "  save_steps: .25\n  warmup_ratio: 0.03\n  logging_steps: 10\n").training_args.save_steps, 0.25);
  EXPECT_EQ(mistakes(kSmall + "  save_steps: 2.5\n"),
            "`training_args.save_steps` must be a whole number, or a share below 1\n  where: recipe.yaml:10:15\n  found: 2.5\n"
            "  fix:   write 2 for steps, or a value below 1 for a share of all steps");
  EXPECT_NE(mistakes(kSmall + "  save_steps: 0\n").find("choose a number above 0"), std::string::npos);
  EXPECT_EQ(load(kSmall + "  save_strategy: no\n").training_args.save_strategy, "no");
  EXPECT_EQ(load(kSmall + "  save_strategy: False\n").training_args.save_strategy, "no");
  EXPECT_NE(mistakes(kSmall + "  save_strategy: best\n").find("one of: no, steps, epoch"), std::string::npos);
}

TEST(TrainingArguments, ReportToNamesKnownServices) {
  EXPECT_EQ(load(kSmall + "  report_to: none\n").notes.size(), 0U);
  EXPECT_EQ(load(kSmall + "  report_to: [tensorboard, wandb]\n").training_args.report_to, "tensorboard,wandb");
  EXPECT_NE(mistakes(kSmall + "  report_to: wandbb\n").find("did you mean `wandb`?"), std::string::npos);
}

TEST(TrainingArguments, DeepSpeedFileIsLookedAtButNotNeeded) {
  const TemporaryFolder folder;
  write(folder, "config/good.json",
        R"({"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": "auto", "gradient_clipping": 0.5})");
  write(folder, "config/broken.json", "{\"a\": 1,\n}");
  write(folder, "config/list.json", "[1]");
  const auto read = [&](const std::string& value) {
    return load_recipe(write(folder, "recipe.yaml", kSmall + "  deepspeed: " + value + "\n"), {});
  };
  const Recipe good = read("./config/good.json");
  EXPECT_TRUE(contains(good.notes, "`training_args.deepspeed` is accepted, not used here"));
  EXPECT_TRUE(contains(good.warnings, "DeepSpeed's `gradient_clipping` is 0.5, `training_args.max_grad_norm` is 1: the latter counts"));
  EXPECT_TRUE(contains(read("./config/missing.json").warnings, "there is no file ./config/missing.json; it is not needed here"));
  EXPECT_EQ(read("{gradient_accumulation_steps: 4}").warnings.size(), 1U);
  for (const auto& [value, text] :
       {std::pair{"config/broken.json", "broken.json:2:1: this file is not valid JSON"}, {"config/list.json", "must be a JSON object"}}) {
    try {
      read(value);
      FAIL() << value;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace multimeditron::testing
