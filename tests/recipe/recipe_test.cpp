#include "recipe/recipe.h"

#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

TEST(Recipe, SmallRecipeHasTheDefaultsOfTheOriginal) {
  const Recipe recipe = load(kSmall);
  EXPECT_EQ(recipe.attachment_token, "<|reserved_special_token_0|>");
  EXPECT_EQ(recipe.tokenizer_type, TokenizerType::kQwen3);
  EXPECT_EQ(recipe.modalities.at(0).hidden_size, 64);  // token_size, where it is not written
  EXPECT_EQ(recipe.modalities.at(0).modality_type, "image");
  EXPECT_EQ(recipe.seed, 0);
  EXPECT_EQ(recipe.label_mask, LabelMask::kOriginal);
  // transformers' TrainingArguments
  EXPECT_EQ(recipe.training_args.learning_rate, 5e-5);
  EXPECT_EQ(recipe.training_args.lr_scheduler_type, "linear");
  EXPECT_EQ(recipe.training_args.per_device_train_batch_size, 8);
  EXPECT_EQ(recipe.training_args.num_train_epochs, 3);
  EXPECT_EQ(recipe.training_args.save_steps, 500);
  EXPECT_EQ(recipe.training_args.seed, 42);
  EXPECT_TRUE(recipe.notes.empty());
  EXPECT_TRUE(recipe.warnings.empty());
}

TEST(Recipe, WorkedExampleIsRead) {
  const Variable root("CASE_ROOT", TEST_DATA "/case_qwen3_clip"), out("OUT", "out");
  const Recipe recipe = load_recipe(TEST_DATA "/case_qwen3_clip/cases/qwen3_clip/end2end.yaml", {});
  EXPECT_EQ(recipe.training_mode, TrainingMode::kEnd2End);
  EXPECT_EQ(recipe.datasets.at(0).packed_path, TEST_DATA "/case_qwen3_clip/data/arrow");
  EXPECT_EQ(recipe.training_args.max_steps, 10);
  EXPECT_EQ(recipe.training_args.warmup_steps, 2);
  EXPECT_EQ(recipe.training_args.adam_epsilon, 1e-8);
  EXPECT_EQ(recipe.training_args.min_lr, 1e-4);
  EXPECT_EQ(recipe.training_args.save_strategy, "no");
}

TEST(Recipe, AllMistakesAreReportedAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(mistakes("base_lm: llm\n"
                     "tokenizer_type: qwen\n"
                     "loaders: [{loader_type: raw_image}]\n"
                     "modalities: [{model_type: meditron_clip, clip_name: clip, hidden_size: wide}]\n"
                     "datasets: [{packed_path: data}]\n"
                     "training_mode: alignment\n"
                     "training_args:\n"
                     "  output_dir: out\n"
                     "  learning_rate: fast\n"),
            "7 mistakes\n"
            "- unknown key `base_lm`\n"
            "  where: recipe.yaml:1:1\n"
            "  found: `base_lm`, which is no key of a recipe\n"
            "  fix:   did you mean `base_llm`?\n"
            "- `tokenizer_type` has no choice of this name\n"
            "  where: recipe.yaml:2:17\n"
            "  found: `qwen`\n"
            "  fix:   did you mean `qwen3`? one of: llama, apertus, qwen3, auto\n"
            "- `loaders.0.loader_type` has no choice of this name\n"
            "  where: recipe.yaml:3:25\n"
            "  found: `raw_image`\n"
            "  fix:   did you mean `raw-image`? one of: raw-image, fs-image, raw-volume, fs-volume\n"
            "- `modalities.0.hidden_size` must be a whole number\n"
            "  where: recipe.yaml:4:72\n"
            "  found: `wide`\n"
            "  fix:   write a whole number\n"
            "- `training_mode` has no choice of this name\n"
            "  where: recipe.yaml:6:16\n"
            "  found: `alignment`\n"
            "  fix:   did you mean `ALIGNMENT`? one of: ALIGNMENT, END2END, LM_ONLY, FULL\n"
            "- `training_args.learning_rate` must be a number\n"
            "  where: recipe.yaml:9:18\n"
            "  found: `fast`\n"
            "  fix:   write a number\n"
            "- a language model is missing\n"
            "  where: recipe.yaml\n"
            "  found: neither `base_llm` nor `base_model`\n"
            "  fix:   set `base_llm` to a hub id or folder, or `base_model` to a checkpoint");
}

TEST(Recipe, NumbersAreReadAsPeopleWriteThem) {
  for (const auto& [text, value] :
       {std::pair{"1e-4", 1e-4}, {"1.0e-04", 1e-4}, {".0001", 1e-4}, {"1E-4", 1e-4}, {"3", 3.0}, {"+2.5", 2.5}, {"1_000", 1000.0}})
    EXPECT_EQ(load(kSmall + "  learning_rate: " + text + "\n").training_args.learning_rate, value) << text;
  for (const char* text : {"1e", "1.2.3", "0x10", ".inf", ".nan", "1 000", "1,5"})
    EXPECT_NE(mistakes(kSmall + "  learning_rate: " + text + "\n").find("`training_args.learning_rate` must be a number"),
              std::string::npos)
        << text;
  EXPECT_EQ(mistakes(kSmall + "  learning_rate: \"1e-4\"\n"),
            "`training_args.learning_rate` must be a number\n  where: recipe.yaml:10:18\n  found: the string \"1e-4\"\n  fix:   remove the "
            "quotes");
  EXPECT_EQ(mistakes(kSmall + "  max_steps: 1e2\n"),
            "`training_args.max_steps` must be a whole number\n  where: recipe.yaml:10:14\n  found: `1e2`\n  fix:   write 100");
  EXPECT_NE(mistakes(kSmall + "  max_steps: 010\n").find("must be a whole number"), std::string::npos);
  EXPECT_NE(mistakes(kSmall + "  max_steps: 99999999999999999999\n").find("must be a whole number"), std::string::npos);
}

TEST(Recipe, BooleansOfYaml11AreRead) {
  for (const char* text : {"true", "True", "TRUE", "yes", "on"})
    EXPECT_TRUE(load(kSmall + "  bf16: " + text + "\n").training_args.bf16) << text;
  for (const char* text : {"false", "False", "no", "Off"}) EXPECT_FALSE(load(kSmall + "  bf16: " + text + "\n").training_args.bf16) << text;
  EXPECT_EQ(
      mistakes(kSmall + "  bf16: 'true'\n"),
      "`training_args.bf16` must be true or false\n  where: recipe.yaml:10:9\n  found: the string \"true\"\n  fix:   remove the quotes");
  EXPECT_NE(mistakes(kSmall + "  bf16: 1\n").find("must be true or false"), std::string::npos);
}

TEST(Recipe, WrongKindsOfValuesSayWhatWasExpected) {
  EXPECT_EQ(mistakes(kSmall + "custom_lr: 1e-4\n"),
            "`custom_lr` must be a map\n  where: recipe.yaml:10:12\n  found: `1e-4`\n  fix:   write a map");
  EXPECT_EQ(mistakes(kSmall, {"datasets={packed_path: x}"}),
            "`datasets` must be a list of maps\n  where: override `datasets={packed_path: x}`\n  found: a map\n"
            "  fix:   put `- ` in front of its first key and indent the others with it");
  EXPECT_EQ(mistakes(kSmall + "seed:\n"),
            "`seed` must be a whole number\n  where: recipe.yaml:10:1\n  found: null (nothing behind the colon is null too)\n"
            "  fix:   write a whole number, or remove the key to have the default");
  EXPECT_EQ(mistakes(kSmall + "seed: -3\n"),
            "`seed` is out of range\n  where: recipe.yaml:10:7\n  found: -3\n  fix:   choose a whole number of at least 0");
  EXPECT_EQ(
      mistakes(kSmall + "max_bad_samples: 2\n"),
      "`max_bad_samples` is out of range\n  where: recipe.yaml:10:18\n  found: 2\n  fix:   choose a number of at least 0 and of at most 1");
}

TEST(Recipe, FileThatIsNoRecipeIsRefused) {
  EXPECT_EQ(mistakes("# nothing\n"),
            "a recipe is a map of keys and values\n  where: recipe.yaml\n  found: an empty file\n"
            "  fix:   start from a recipe that works, for instance one below recipes/");
  EXPECT_NE(mistakes("- a\n").find("found: a list"), std::string::npos);
  EXPECT_THROW(load_recipe("there/is/no/such.yaml", {}), UserError);
}

TEST(Recipe, MisplacedKeysAreSentWhereTheyBelong) {
  EXPECT_EQ(mistakes(kSmall + "  truncation: true\n"),
            "unknown key `truncation`\n  where: recipe.yaml:10:3\n  found: `truncation`, which is no key of `training_args`\n"
            "  fix:   move it to the top level of the recipe");
  EXPECT_NE(mistakes(kSmall + "learning_rate: 1e-4\n").find("fix:   move it under `training_args`"), std::string::npos);
  EXPECT_NE(mistakes(kSmall + "  min_lr: 1e-6\n").find("fix:   move it under `training_args.lr_scheduler_kwargs`"), std::string::npos);
  EXPECT_NE(mistakes(kSmall + "clip_name: x\n").find("fix:   move it to an entry of `modalities`"), std::string::npos);
}

TEST(Recipe, VariablesAreExpandedInEveryString) {
  const Variable root("RECIPE_TEST_ROOT", "/data/$HOME"), steps("RECIPE_TEST_STEPS", "12"), nothing("RECIPE_TEST_NULL", "null");
  const Recipe recipe =
      load(kSmall +
           "  run_name: a$${RECIPE_TEST_ROOT}b$RECIPE_TEST_STEPS-5$ $1\n  max_steps: $RECIPE_TEST_STEPS\nbase_model: $RECIPE_TEST_NULL\n"
           "wandb_run_id: \"${RECIPE_TEST_ROOT}/x\"\n");
  EXPECT_EQ(recipe.training_args.run_name, "a${RECIPE_TEST_ROOT}b12-5$ $1");
  EXPECT_EQ(recipe.training_args.max_steps, 12);
  EXPECT_EQ(recipe.base_model, "");
  EXPECT_EQ(recipe.wandb_run_id, "/data/$HOME/x");  // a value is not expanded again
  EXPECT_EQ(load(recipe.effective_yaml).wandb_run_id, recipe.wandb_run_id);
}

TEST(Recipe, UnsetVariableIsOneMistakeThatNamesIt) {
  const Variable unset("RECIPE_TEST_UNSET");
  EXPECT_EQ(mistakes(kSmall + "  run_name: ${RECIPE_TEST_UNSET}/x\nbase_model: $RECIPE_TEST_UNSET\n"),
            "the variable `RECIPE_TEST_UNSET` is not set\n  where: recipe.yaml:10:13\n  found: `${RECIPE_TEST_UNSET}/x` (1 more place)\n"
            "  fix:   export RECIPE_TEST_UNSET=..., or write its value into the recipe");
}

TEST(Recipe, ResumeIsAFlagOrAPath) {
  EXPECT_FALSE(load(kSmall + "resume_from_checkpoint: false\n").resume);
  EXPECT_FALSE(load(kSmall + "resume_from_checkpoint: null\n").resume);
  EXPECT_TRUE(load(kSmall + "resume_from_checkpoint: True\nbase_model: m\n").resume);
  EXPECT_EQ(load(kSmall + "resume_from_checkpoint: runs/a/checkpoint-3\n").resume_path, "runs/a/checkpoint-3");
  EXPECT_EQ(mistakes(kSmall + "resume_from_checkpoint: true\n"),
            "there is nothing to resume from\n  where: recipe.yaml:10:25\n  found: `resume_from_checkpoint: true` without `base_model`\n"
            "  fix:   set `base_model` to the checkpoint, or write its path here");
}

TEST(Recipe, FingerprintIgnoresWhatDoesNotChangeTheMathematics) {
  const std::string base = load(kSmall).fingerprint;
  for (const char* same :
       {"training_args.output_dir=elsewhere", "training_args.run_name=x", "training_args.logging_steps=1", "training_args.save_steps=0.25",
        "training_args.save_strategy=no", "training_args.save_total_limit=2", "training_args.report_to=wandb", "wandb_run_id=abc",
        "training_args.dataloader_num_workers=3", "training_args.deepspeed=ds.json", "logging_level=micro", "resume_from_checkpoint=p",
        "training_args.remove_unused_columns=false", "seed=0"})
    EXPECT_EQ(load(kSmall, {same}).fingerprint, base) << same;
  for (const char* other : {"seed=1", "training_args.seed=43", "training_args.max_steps=10", "training_args.num_train_epochs=1",
                            "training_args.learning_rate=1e-4", "datasets.0.packed_path=other", "base_model=m", "training_mode=FULL",
                            "label_mask=assistant", "loss_reduction=token", "modalities.0.clip_name=other"})
    EXPECT_NE(load(kSmall, {other}).fingerprint, base) << other;
}

TEST(Recipe, LoaderKeysCountWhereTheyAreNotTheDefaults) {
  const std::string loader = "{loader_type: raw-image";
  const auto with = [&](const std::string& keys) { return std::string(kSmall).replace(kSmall.find(loader), loader.size(), loader + keys); };
  const Recipe plain = load(kSmall);
  const Recipe same = load(with(", sixteen_bit: high_byte, max_pixels: 178956970, fast_decode: false"));
  const Recipe other = load(with(", sixteen_bit: clip, max_pixels: 1000000, fast_decode: true"));
  EXPECT_EQ(same.fingerprint, plain.fingerprint);
  EXPECT_NE(other.fingerprint, plain.fingerprint);
  EXPECT_EQ(other.loaders.at(0).sixteen_bit, "clip");
  EXPECT_EQ(other.loaders.at(0).max_pixels, 1'000'000);
  EXPECT_TRUE(other.loaders.at(0).fast_decode);
  EXPECT_NE(mistakes(with(", max_pixels: 1000000000000000000")).find("at most 1000000000"), std::string::npos);
  const std::string text = mistakes(with(", sixteen_bit: white, max_pixels: 0, fast_decode: 3"));
  for (const char* part : {"loaders.0.sixteen_bit", "one of: high_byte, clip", "loaders.0.max_pixels", "loaders.0.fast_decode"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Recipe, DifferenceNamesTheKeysThatCount) {
  const Recipe before = load(kSmall, {"training_args.output_dir=a"});
  const Recipe after = load(kSmall, {"training_args.output_dir=b", "training_args.learning_rate=1e-5", "datasets.1.packed_path=more"});
  EXPECT_EQ(recipe_difference(before.effective_yaml, after.effective_yaml),
            "training_args.learning_rate: 5.0e-05 -> 1.0e-05\n"
            "datasets.1.packed_path: (not set) -> more\n"
            "datasets.1.weight: (not set) -> null\n"
            "datasets.1.max_samples: (not set) -> null");
  EXPECT_EQ(recipe_difference(before.effective_yaml, before.effective_yaml), "");
}

TEST(Recipe, NamesOfChoicesGoBothWays) {
  EXPECT_STREQ(to_string(TrainingMode::kAlignment), "ALIGNMENT");
  EXPECT_STREQ(to_string(LabelMask::kAssistant), "assistant");
  EXPECT_EQ(parse_tokenizer_type("apertus"), TokenizerType::kApertus);
  EXPECT_STREQ(to_string(*parse_tokenizer_type("llama")), "llama");
  EXPECT_EQ(parse_tokenizer_type("gpt"), std::nullopt);
}

}  // namespace
}  // namespace multimeditron::testing
