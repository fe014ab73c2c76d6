// Recipes of the shapes of the public cookbook: twenty files, their keys in its order, their values.
#include <fmt/ranges.h>

#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

struct Row {
  const char* name;
  char llm;              // Q, A, L
  const char* modality;  // B, C1, C2, P, S
  const char* fusion;
  int stage;
  const char* data;  // D1, D2, E1, E2, E3
  const char* learning_rate;
  const char* min_lr;
  int batch, accumulation;
  const char* save;  // "epoch" or save_steps
  bool truncation, resume, wandb;
};

const Row kRows[] = {
    {"qwen_biomedclip_1", 'Q', "B", "", 1, "D1", "1e-4", "3e-5", 4, 8, "epoch", false, false, false},
    {"qwen_biomedclip_2", 'Q', "B", "", 2, "E1", "1e-5", "3e-6", 4, 8, ".25", true, false, false},
    {"apertus_biomedclip_1", 'A', "B", "", 1, "D1", "1e-4", "3e-5", 4, 8, "epoch", false, false, false},
    {"apertus_biomedclip_2", 'A', "B", "", 2, "E1", "1e-5", "3e-6", 4, 8, ".25", true, true, false},
    {"llama_biomedclip_1", 'L', "B", "", 1, "D1", "1e-4", "3e-5", 4, 8, "epoch", false, false, false},
    {"llama_biomedclip_2", 'L', "B", "", 2, "E1", "1e-5", "3e-6", 4, 8, ".25", true, false, false},
    {"llama_clip_1", 'L', "C1", "", 1, "D2", "1e-4", "3e-5", 4, 8, ".25", false, true, true},
    {"llama_clip_2", 'L', "C2", "", 2, "E3", "1e-5", "1e-6", 2, 8, ".125", true, false, false},
    {"attn_pep_1", 'L', "P", "cross_attn", 1, "D1", "1e-5", "1e-6", 2, 8, ".25", false, true, true},
    {"attn_pep_2", 'L', "P", "cross_attn", 2, "E2", "1e-5", "1e-6", 2, 8, ".25", true, true, true},
    {"attn_shared_1", 'L', "S", "cross_attn", 1, "D1", "1e-5", "1e-6", 2, 8, ".25", false, true, true},
    {"attn_shared_2", 'L', "S", "cross_attn", 2, "E2", "1e-5", "1e-6", 2, 8, ".25", true, true, true},
    {"avg_pep_1", 'L', "P", "weighted_average", 1, "D1", "1e-5", "1e-6", 4, 4, ".2", false, true, true},
    {"avg_pep_2", 'L', "P", "weighted_average", 2, "E3", "1e-5", "1e-6", 2, 8, ".25", true, true, true},
    {"avg_shared_1", 'L', "S", "weighted_average", 1, "D1", "1e-5", "1e-6", 4, 4, ".2", false, true, true},
    {"avg_shared_2", 'L', "S", "weighted_average", 2, "E3", "1e-5", "1e-6", 2, 8, ".25", true, true, true},
    {"cat_pep_1", 'L', "P", "sequence_append", 1, "D1", "1e-5", "1e-6", 4, 4, ".2", false, true, true},
    {"cat_pep_2", 'L', "P", "sequence_append", 2, "E3", "1e-5", "1e-6", 2, 8, ".125", true, true, true},
    {"cat_shared_1", 'L', "S", "sequence_append", 1, "D1", "1e-5", "1e-6", 4, 4, ".2", false, true, true},
    {"cat_shared_2", 'L', "S", "sequence_append", 2, "E3", "1e-5", "1e-6", 2, 8, ".125", true, true, true},
};

std::vector<std::string> data_of(const std::string& name) {
  if (name == "D1") return {"llava_pretrain_cleaned", "pixmo_anything", "pixmo_cap", "medtrinity_conversations_1_formatted_alignment"};
  if (name == "D2")
    return {"llava_instruct", "llava_pretrain_cleaned", "medtrinity_conversations_1", "medtrinity_conversations_2", "pixmo_anything"};
  std::vector<std::string> names = {"BUSI",
                                    "COVID_US",
                                    "ct2",
                                    "iu_xray",
                                    "PMC_VQA_FULL",
                                    "medtrinity_conversations_1_formatted",
                                    "medtrinity_conversations_2_formatted",
                                    "image_mammoth"};
  names.insert(name == "E1" ? names.end() : names.begin() + (name == "E2" ? 5 : 4), "llava_instruct");
  return names;
}

std::string width(const Row& row) {
  return row.llm == 'Q' ? "2560" : "4096";
}

std::string modality(const Row& row) {
  const std::string kind = row.modality;
  if (kind == "B") {
    return "  - model_type: meditron_biomedclip\n    clip_name: michel-ducartier/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224\n    "
           "hidden_size: " +
           width(row) + "\n    trust_remote_code: True\n";
  }
  if (kind == "C1") return "  - model_type: meditron_clip\n    clip_name: openai/clip-vit-large-patch14\n    hidden_size: 4096\n";
  if (kind == "C2") {
    return "  - model_type: meditron_clip\n    image_processor: openai/clip-vit-base-patch32\n    hidden_size: 4096\n    clip_name: "
           "ClosedMeditron/clip-vit-base-patch32\n"
           "    fusion_method: sequence_append\n";
  }
  std::string text = std::string("  - model_type: moe_meditron_clip") + (kind == "P" ? "_pep" : "") +
                     "\n    image_processor: openai/clip-vit-base-patch32\n    hidden_size: 4096\n    expert_clip_names:\n";
  for (const char* expert : {"MedExpert-CT", "MedExpert-MRI", "MedExpert-Ultrasound", "MedExpert-Xray", "clip-vit-base-patch32"})
    text += std::string("      - ClosedMeditron/") + expert + "\n";
  const bool stray = std::string(row.name) == "avg_shared_2";
  text += stray ? "    generalist_idx : -1   \n" : "    generalist_idx : -1   # the last one\n";
  if (stray) text += "        - ClosedMeditron/clip-vit-base-patch32\n    generalist_idx : -1\n";
  return text + "    gating_path: ClosedMeditron/MultiMeditron-Gating\n    fusion_method: " + row.fusion + "\n    top_k_experts: 5\n";
}

std::string text_of(const Row& row) {
  const char* llm = row.llm == 'Q'   ? "Qwen/Qwen3-4B-Instruct-2507"
                    : row.llm == 'A' ? "swiss-ai/Apertus-8B-Instruct-2509"
                                     : "meta-llama/Llama-3.1-8B-Instruct";
  std::string text =
      fmt::format("base_llm: {}\nbase_model: {}\n", llm, row.stage == 1 ? "null" : "$MODEL_ROOT/freeze/stage1/checkpoint-333/");
  if (row.resume) text += "resume_from_checkpoint: false\n";
  if (row.wandb) text += "wandb_run_id: null\n";
  text += fmt::format("attachment_token: <|reserved_special_token_0|>\ntokenizer_type: {}\ntoken_size: {}   \n",
                      row.llm == 'Q'   ? "qwen3"
                      : row.llm == 'A' ? "apertus"
                                       : "llama",
                      width(row));
  if (row.truncation) text += "truncation: true\nmax_sequence_length: 4096\n";
  text += "\nloaders:\n  - loader_type: raw-image\n    modality_type: image\n\nmodalities:\n" + modality(row);
  text += fmt::format("\ntraining_mode: {}\n\ndatasets:\n", row.stage == 1 ? "ALIGNMENT" : "END2END");
  for (const std::string& name : data_of(row.data)) text += "  - packed_path: $STORAGE_ROOT/" + name + "\n";
  text += fmt::format(
      "\ntraining_args:\n  output_dir: ${{MODEL_ROOT}}/{}/{}/\n  dataloader_num_workers: 16\n  dataloader_prefetch_factor: 4\n  "
      "remove_unused_columns: false\n"
      "  ddp_find_unused_parameters: false\n  learning_rate: {}\n  bf16: true\n  per_device_train_batch_size: {}\n  "
      "gradient_accumulation_steps: {}\n"
      "  num_train_epochs: 1\n  gradient_checkpointing: true\n  gradient_checkpointing_kwargs:\n    use_reentrant: true\n",
      row.stage == 1 ? "freeze" : "unfreeze", row.name, row.learning_rate, row.batch, row.accumulation);
  text +=
      std::string(row.save) == "epoch" ? "  save_strategy: epoch\n" : fmt::format("  save_strategy: steps\n  save_steps: {}\n", row.save);
  text += fmt::format(
      "  max_grad_norm: 1.0\n  run_name: {}\n  deepspeed: ./config/deepspeed.json\n  accelerator_config:\n    dispatch_batches: false\n"
      "  lr_scheduler_type: cosine_with_min_lr\n  lr_scheduler_kwargs:\n    min_lr: {}\n  report_to: wandb\n  logging_steps: 1\n  "
      "weight_decay: 0.01",
      row.name, row.min_lr);  // no final line break
  return text;
}

class Cookbook : public ::testing::TestWithParam<Row> {};

TEST_P(Cookbook, RecipeIsReadAsItWasMeant) {
  const Variable storage("STORAGE_ROOT", "/data"), models("MODEL_ROOT", "/models");
  const Row& row = GetParam();
  const Recipe recipe = load(text_of(row));

  EXPECT_EQ(recipe.base_model, row.stage == 1 ? "" : "/models/freeze/stage1/checkpoint-333/");
  EXPECT_FALSE(recipe.resume);
  EXPECT_EQ(recipe.attachment_token, "<|reserved_special_token_0|>");
  EXPECT_EQ(recipe.token_size, row.llm == 'Q' ? 2560 : 4096);
  EXPECT_EQ(recipe.max_sequence_length, row.truncation ? std::optional<int64_t>(4096) : std::nullopt);
  EXPECT_EQ(recipe.training_mode, row.stage == 1 ? TrainingMode::kAlignment : TrainingMode::kEnd2End);
  std::vector<std::string> paths;
  for (const DatasetSpec& each : recipe.datasets) paths.push_back(each.packed_path.substr(6));
  EXPECT_EQ(paths, data_of(row.data));
  ASSERT_EQ(recipe.modalities.size(), 1U);
  EXPECT_EQ(recipe.modalities[0].hidden_size, recipe.token_size);
  EXPECT_EQ(recipe.modalities[0].projection_type, "mlp");
  if (row.modality[0] == 'P' || row.modality[0] == 'S') {
    EXPECT_EQ(recipe.modalities[0].expert_clip_names.size(), 5U);
    EXPECT_EQ(recipe.modalities[0].generalist_idx, -1);
    EXPECT_EQ(recipe.modalities[0].fusion_method, row.fusion);
  }
  const TrainingArguments& arguments = recipe.training_args;
  EXPECT_EQ(arguments.learning_rate, std::stod(row.learning_rate));
  EXPECT_EQ(arguments.min_lr, std::stod(row.min_lr));
  EXPECT_EQ(arguments.per_device_train_batch_size, row.batch);
  EXPECT_EQ(arguments.gradient_accumulation_steps, row.accumulation);
  EXPECT_EQ(arguments.num_train_epochs, 1);
  EXPECT_EQ(arguments.max_steps, -1);
  EXPECT_EQ(arguments.weight_decay, 0.01);
  EXPECT_EQ(arguments.output_dir, fmt::format("/models/{}/{}/", row.stage == 1 ? "freeze" : "unfreeze", row.name));
  EXPECT_TRUE(arguments.bf16 && arguments.gradient_checkpointing);
  if (std::string(row.save) == "epoch") {
    EXPECT_EQ(arguments.save_strategy, "epoch");
  } else {
    EXPECT_EQ(arguments.save_steps, std::stod(row.save));
  }
  for (const char* key :
       {"remove_unused_columns", "ddp_find_unused_parameters", "gradient_checkpointing_kwargs", "accelerator_config", "report_to"})
    EXPECT_TRUE(contains(recipe.notes, fmt::format("`training_args.{}` is accepted, not used here", key)));
  EXPECT_TRUE(contains(recipe.warnings, "`training_args.deepspeed`: there is no file ./config/deepspeed.json; it is not needed here"));
}

TEST_P(Cookbook, EffectiveRecipeReadsBackAsTheSame) {
  const Variable storage("STORAGE_ROOT", "/data"), models("MODEL_ROOT", "/models");
  const Recipe first = load(text_of(GetParam()));
  const Recipe second = load(first.effective_yaml);
  EXPECT_EQ(second.effective_yaml, first.effective_yaml);
  EXPECT_EQ(second.fingerprint, first.fingerprint);
}

/// The recipe that comes with the program: recipes/sft/moe/attn/pep/stage1_alignment.yaml for attn_pep_1.
std::filesystem::path shipped(std::string name, int stage) {
  name.resize(name.size() - 2);
  if (std::string(name).find("clip") == std::string::npos) {
    name.replace(name.find('_'), 1, "/");
    name = "moe/" + name;
  } else {
    name = "single_clip/" + name;
  }
  return std::filesystem::path(TEST_DATA) / "../../recipes/sft" / name / (stage == 1 ? "stage1_alignment.yaml" : "stage2_end2end.yaml");
}

std::string without_last_slashes(std::string text) {
  for (size_t at; (at = text.find("/\n")) != std::string::npos;) text.erase(at, 1);
  return text;
}

TEST_P(Cookbook, TheShippedRecipeSaysTheSame) {
  const Variable storage("STORAGE_ROOT", "/data"), models("MODEL_ROOT", "/models");
  const Row& row = GetParam();
  // Names of folders are compared below.
  const std::vector<std::string> names{"base_model=m", "training_args.output_dir=o", "training_args.run_name=r"};
  const auto file = shipped(row.name, row.stage);
  EXPECT_EQ(without_last_slashes(load_recipe(file, names).effective_yaml), without_last_slashes(load(text_of(row), names).effective_yaml));
  const Recipe recipe = load_recipe(file, {});
  EXPECT_TRUE(recipe.training_args.output_dir.starts_with(row.stage == 1 ? "/models/freeze/" : "/models/unfreeze/"));
  if (row.stage == 1) {
    EXPECT_EQ(recipe.base_model, "");
    return;
  }
  const std::string stage1 = load_recipe(shipped(row.name, 1), {}).training_args.output_dir;
  EXPECT_EQ(without_last_slashes(stage1 + "\n"), recipe.base_model + "\n") << "stage 2 goes on from stage 1's run";
}

INSTANTIATE_TEST_SUITE_P(Recipes, Cookbook, ::testing::ValuesIn(kRows), [](const auto& info) { return std::string(info.param.name); });

// What PyYAML makes of it: a scalar of two lines, which the second `generalist_idx` replaces.
TEST(CookbookMistakes, StrayDeeperListItemIsReadWithTwoWarnings) {
  const Variable storage("STORAGE_ROOT", "/data"), models("MODEL_ROOT", "/models");
  const Recipe recipe = load(text_of(kRows[15]));
  EXPECT_EQ(recipe.modalities[0].generalist_idx, -1);
  EXPECT_TRUE(contains(recipe.warnings, "recipe.yaml:25:5: `generalist_idx` stands here and in line 27: the last one counts"));
  EXPECT_TRUE(
      contains(recipe.warnings, "recipe.yaml:26:9: this list item is read as more text of the value of `generalist_idx` in line 25"));
}

TEST(CookbookMistakes, SingleClipWithAMixturesKeyGetsANote) {
  const Variable storage("STORAGE_ROOT", "/data"), models("MODEL_ROOT", "/models");
  EXPECT_TRUE(contains(load(text_of(kRows[7])).notes, "`modalities.0.image_processor` has no meaning for meditron_clip"));
  EXPECT_TRUE(contains(load(text_of(kRows[7])).notes, "`modalities.0.fusion_method` has no meaning for meditron_clip"));
}

}  // namespace
}  // namespace multimeditron::testing
