#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

const std::string kMixture =
    "base_llm: llm\ntokenizer_type: llama\ntoken_size: 64\nloaders: [{loader_type: raw-image}]\n"
    "modalities: [{model_type: moe_meditron_clip, expert_clip_names: [a, b, c], gating_path: gate, top_k_experts: 2}]\n"
    "datasets: [{packed_path: data}]\ntraining_args: {output_dir: out}\n";

TEST(Validate, MissingEssentialsAreNamed) {
  EXPECT_EQ(
      mistakes("seed: 1\n"),
      "5 mistakes\n"
      "- a language model is missing\n  where: recipe.yaml\n  found: neither `base_llm` nor `base_model`\n"
      "  fix:   set `base_llm` to a hub id or folder, or `base_model` to a checkpoint\n"
      "- `tokenizer_type` is missing\n  where: recipe.yaml\n  fix:   one of: llama, apertus, qwen3, auto\n"
      "- `training_mode: ALIGNMENT` needs `modalities`\n  where: recipe.yaml\n  found: no modality; without one only LM_ONLY can be "
      "trained\n"
      "  fix:   add an entry to `modalities`, or write `training_mode: LM_ONLY`\n"
      "- `datasets` is missing\n  where: recipe.yaml\n  fix:   add `- packed_path: FOLDER` to `datasets`\n"
      "- `training_args.output_dir` is missing\n  where: recipe.yaml\n  fix:   set it to the folder that the run is to be written to");
}

TEST(Validate, AMixtureWithASingleEncodersKeyGetsANote) {
  EXPECT_TRUE(
      contains(load(kMixture, {"modalities.0.clip_name=a"}).notes, "`modalities.0.clip_name` has no meaning for moe_meditron_clip"));
}

TEST(Validate, TwoDimensionalPositionsCannotBeRun) {
  const std::string text = mistakes(kMixture, {"modalities.0.use_2d_position_ids=true"});
  EXPECT_NE(text.find("two-dimensional position ids cannot be run"), std::string::npos) << text;
  EXPECT_NE(text.find("write false"), std::string::npos) << text;
}

TEST(Validate, ModesNeedModalitiesExceptLmOnly) {
  EXPECT_TRUE(load(kSmall, {"modalities=[]", "loaders=[]", "training_mode=LM_ONLY"}).modalities.empty());
  for (const char* mode : {"ALIGNMENT", "END2END", "FULL"}) {
    EXPECT_NE(mistakes(kSmall, {"modalities=[]", std::string("training_mode=") + mode})
                  .find(std::string("`training_mode: ") + mode + "` needs `modalities`"),
              std::string::npos);
  }
}

TEST(Validate, EachModalityNeedsOneLoader) {
  EXPECT_EQ(mistakes(kSmall, {"loaders=[]"}),
            "no loader for the modality `image`\n  where: recipe.yaml:5:14\n  found: no `loaders`\n"
            "  fix:   add `- loader_type: raw-image` with `modality_type: image` to `loaders`");
  EXPECT_NE(mistakes(kSmall, {"loaders.0.modality_type=scan"}).find("found: loaders for: scan"), std::string::npos);
  EXPECT_NE(mistakes(kSmall, {"loaders.1.loader_type=fs-image"}).find("two loaders for one modality"), std::string::npos);
  EXPECT_NE(mistakes(kSmall, {"loaders.0.loader_type=null"}).find("`loaders.0.loader_type` must be a string"), std::string::npos);
}

TEST(Validate, WidthsAgree) {
  EXPECT_EQ(mistakes(kSmall, {"modalities.0.hidden_size=32"}),
            "`modalities.0.hidden_size` differs from `token_size`\n  where: override `modalities.0.hidden_size=32`\n"
            "  found: 32, and `token_size: 64` (recipe.yaml:3:13)\n  fix:   both are the `hidden_size` of the language model");
  EXPECT_EQ(load(kSmall, {"token_size=0"}).modalities[0].hidden_size, 0);  // the language model's config says it
  EXPECT_EQ(load(kSmall, {"token_size=0", "modalities.0.hidden_size=32"}).modalities[0].hidden_size, 32);
}

TEST(Validate, ModelTypesAreKnownAndHaveTheirParts) {
  for (const char* type : {"meditron_clip", "meditron_biomedclip"})
    EXPECT_EQ(load(kSmall, {std::string("modalities.0.model_type=") + type}).modalities[0].model_type, type);
  for (const char* type : {"moe_meditron_clip", "moe_meditron_clip_pep"})
    EXPECT_EQ(load(kMixture, {std::string("modalities.0.model_type=") + type}).modalities[0].model_type, type);
  EXPECT_NE(mistakes(kSmall, {"modalities.0.model_type=meditron_clap"}).find("did you mean `meditron_clip`?"), std::string::npos);
  EXPECT_NE(mistakes(kSmall, {"modalities.0.clip_name=null"}).find("`modalities.0.clip_name` is missing"), std::string::npos);
  EXPECT_NE(mistakes(kSmall, {"modalities.0.model_type=moe_meditron_clip"}).find("`modalities.0.gating_path` is missing"),
            std::string::npos);
}

TEST(Validate, MixturesAreConsistent) {
  EXPECT_NE(mistakes(kMixture, {"modalities.0.top_k_experts=4"}).find("found: `top_k_experts: 4` of 3 experts\n  fix:   choose 1 to 3"),
            std::string::npos);
  EXPECT_NE(mistakes(kMixture, {"modalities.0.generalist_idx=3"}).find("fix:   choose 0 to 2, or -1 for the last expert"),
            std::string::npos);
  EXPECT_NE(mistakes(kMixture, {"modalities.0.gate_classes=[x, y]"}).find("found: 2 classes, 3 experts"), std::string::npos);
  EXPECT_NE(mistakes(kMixture, {"modalities.0.fusion_method=avg"}).find("one of: weighted_average, sequence_append, cross_attn"),
            std::string::npos);
}

TEST(Validate, LengthsAreThereWhereTheyAreNeeded) {
  EXPECT_NE(mistakes(kSmall, {"pack_sequences=true"}).find("found: neither `max_length` nor `max_sequence_length`"), std::string::npos);
  EXPECT_TRUE(load(kSmall, {"pack_sequences=true", "max_length=512"}).pack_sequences);
  EXPECT_TRUE(load(kSmall, {"pack_sequences=true", "max_sequence_length=512"}).pack_sequences);
  const std::string unused = "`max_sequence_length` has no meaning";  // it may be the length of the packs
  EXPECT_FALSE(contains(load(kSmall, {"pack_sequences=true", "max_sequence_length=512"}).notes, unused));
  EXPECT_TRUE(contains(load(kSmall, {"pack_sequences=true", "max_sequence_length=512", "max_length=64"}).notes, unused));
  EXPECT_NE(mistakes(kSmall, {"truncation=true"}).find("`truncation: true` without `max_sequence_length`"), std::string::npos);
}

TEST(Validate, WhatIsWrittenFromHabitIsToldAsItShouldBe) {
  EXPECT_NE(mistakes(kSmall, {"training_args.per_device_batch_size=2"}).find("did you mean `per_device_train_batch_size`?"),
            std::string::npos);
  EXPECT_NE(mistakes(kSmall, {"datasets=[text.jsonl]"}).find("write `- packed_path: text.jsonl`"), std::string::npos);
}

TEST(Validate, RunHasALength) {
  EXPECT_NE(mistakes(kSmall, {"training_args.num_train_epochs=0"}).find("the run has no length"), std::string::npos);
  EXPECT_EQ(load(kSmall, {"training_args.num_train_epochs=0", "training_args.max_steps=5"}).training_args.max_steps, 5);
}

TEST(Validate, RemoteCodeIsNeverRunAndTheNoteSaysSo) {
  EXPECT_TRUE(contains(load(kSmall, {"modalities.0.trust_remote_code=true"}).notes,
                       "`modalities.0.trust_remote_code` is accepted; no remote code is ever run"));
}

}  // namespace
}  // namespace multimeditron::testing
