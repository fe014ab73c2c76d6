#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "base/file.h"
#include "checkpoint/folder.h"
#include "run_case.h"
#include "training/mixture_case.h"

// Mixtures through the whole program: from their parts to answers, and what it says of mistakes.
namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

/// Experts and gate in a folder that can be taken away again.
void copy_parts(const fs::path& target) {
  fs::copy(mixture_data(), target, fs::copy_options::recursive);
}

Result train(const fs::path& recipe, std::vector<std::string> overrides = {}) {
  overrides.insert(overrides.begin(), {"train", "--config", recipe.string(), "--quiet"});
  return run(overrides);
}

const std::string kImage = TEST_DATA "/case_two/data/jsonl/images/000.png";

class MixtureCommands : public ::testing::TestWithParam<Mixture> {};

TEST_P(MixtureCommands, TrainResumeGenerateEvaluateAndInspectFromASelfContainedCheckpoint) {
  const TemporaryFolder folder;
  copy_parts(folder / "parts");
  fs::remove(folder / "parts/experts/ct/preprocessor_config.json");  // the mixture names its own
  Json entry = mixture_entry(GetParam(), folder / "parts");
  entry["cross_attn_dropout"] = 0.1;
  const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", entry, "", folder / "whole");
  const std::vector<std::string> steps{"training_args.max_steps=4", "training_args.save_steps=2"};
  Result result = train(recipe, steps);
  ASSERT_EQ(result.code, 0) << result.err;
  ASSERT_EQ(list_checkpoints(folder / "whole"), (std::vector<int64_t>{2, 4}));
  const Json config = read_json(folder / "whole/checkpoint-4/config.json");
  EXPECT_EQ(config["modalities"][0]["expert_configs"].size(), 4U);
  EXPECT_EQ(config["modalities"][0]["gating_config"]["num_classes"], 4);

  // Without the parts, from the checkpoint alone: the second half of the run comes out with the same bits, dropout included.
  fs::remove_all(folder / "parts");
  std::vector<std::string> resumed = steps;
  resumed.insert(resumed.end(), {"resume_from_checkpoint=" + (folder / "whole/checkpoint-2").string(),
                                 "training_args.output_dir=" + (folder / "resumed").string()});
  result = train(recipe, resumed);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(content_of(folder / "resumed/checkpoint-4/model.safetensors"), content_of(folder / "whole/checkpoint-4/model.safetensors"));

  const std::string model = (folder / "whole/checkpoint-4").string();
  result = run({"generate", "--model", model, "--image", kImage, "--max-new-tokens", "4", "--json", "Which organ?"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_FALSE(Json::parse(result.out)["ids"].empty());

  fs::copy_file(kImage, folder / "scan.png");
  std::ofstream(folder / "task.jsonl") << Json{{"image", "scan.png"}, {"question", "Which organ?"}, {"answer", "lung"}}.dump() << "\n";
  result = run({"evaluate", "--model", model, "--tasks", (folder / "task.jsonl").string(), "--output", (folder / "scores").string(),
                "--max-new-tokens", "4"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json maps = read_json(folder / "scores/attention-task.json");
  EXPECT_EQ(maps["samples"][0]["grid"], (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(maps["samples"][0]["weights"].size(), 16U) << "where several experts' tokens follow each other, a patch is a sum";

  result = run({"inspect", "--config", recipe.string(), "base_model=" + model, "--index", "0", "--forward", "--gradients", "--json",
                "--dump", (folder / "dump").string()});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json gradients = Json::parse(result.out)["gradients"];
  EXPECT_FALSE(gradients.empty());
  for (const auto& [name, norm] : gradients.items()) {
    const bool is_fusion = name.find(".projector") != std::string::npos || name.find(".cross_attn.") != std::string::npos;
    EXPECT_TRUE(is_fusion) << name << " is trained in ALIGNMENT";
    EXPECT_GT(norm.get<double>(), 0) << name;
  }
  EXPECT_TRUE(fs::exists(folder / "dump/features.npy"));
}

INSTANTIATE_TEST_SUITE_P(Mixtures, MixtureCommands, ::testing::ValuesIn(all_mixtures()),
                         [](const auto& info) { return info.param.test_name(); });

/// Every tensor of what is trained moves, without the help of weight decay, and no other.
class MixtureModes : public ::testing::TestWithParam<const char*> {};

TEST_P(MixtureModes, MovesExactlyWhatTheModeNames) {
  const TemporaryFolder folder;
  const Mixture mixture{"pep", GetParam()};
  const bool is_attention = GetParam() == std::string("cross_attn");
  const std::string prefix = "modalities_with_projection.0.";
  for (const char* mode : {"ALIGNMENT", "LM_ONLY", "FULL"}) {
    const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", mixture_entry(mixture), "", folder / mode, mode);
    const Result result = train(recipe, {"training_args.max_steps=2", "training_args.save_steps=1", "training_args.weight_decay=0"});
    ASSERT_EQ(result.code, 0) << result.err;
    const SafetensorsReader before(folder / mode / "checkpoint-1"), after(folder / mode / "checkpoint-2");
    std::map<std::string, bool> moved;    // by component: all of its tensors, or none
    std::map<std::string, int> count[2];  // of tensors that stayed, and that moved
    for (const auto& [name, view] : after.tensors()) {
      std::string part = name.starts_with("model.") ? "llm" : name.substr(prefix.size(), name.find('.', prefix.size()) - prefix.size());
      if (name.find("running_") != std::string::npos || name.ends_with("num_batches_tracked")) part = "statistics";
      if (name.find("post_layernorm") != std::string::npos) part = "unused";
      if (is_attention && name.starts_with(prefix + "experts.3.") && part == "experts") part = "generalist";
      if (name.ends_with("k_proj.bias") && (part == "experts" || part == "generalist"))
        continue;  // softmax does not see it: its gradient is rounding
      ++count[!std::ranges::equal(view.bytes, before.find(name)->bytes)][part];
    }
    for (const auto& [part, tensors] : count[1]) {
      moved[part] = true;
      if (part == "generalist") continue;  // of it cross attention takes the queries alone: gradients too small for some tensors to move
      EXPECT_EQ(count[0][part], 0) << mode << ": so many tensors of " << part << " stayed, " << tensors << " moved";
    }
    for (const auto& [part, tensors] : count[0]) moved.emplace(part, false);
    const bool full = mode == std::string("FULL"), lm = mode != std::string("ALIGNMENT"), fusion = mode != std::string("LM_ONLY");
    // A gate that only chooses is reached by no gradient.
    const bool appends = mixture.fusion == std::string("sequence_append");
    std::map<std::string, bool> expected{
        {"llm", lm},           {"experts", full}, {"gating_network", full && !appends}, {"projectors", fusion},
        {"statistics", false}, {"unused", false}};
    if (is_attention) {
      expected["cross_attn"] = fusion;
      expected["generalist"] = full;
    }
    EXPECT_EQ(moved, expected) << mode;
  }
}

INSTANTIATE_TEST_SUITE_P(Fusions, MixtureModes, ::testing::Values("weighted_average", "sequence_append", "cross_attn"),
                         [](const auto& info) { return std::string(info.param); });

TEST(MixtureTrainingMode, ClassesByHandAreOnePerExpert) {
  const TemporaryFolder folder;
  const fs::path first = write_mixture_recipe(folder / "first.yaml", mixture_entry({"pep", "weighted_average"}), "", folder / "first");
  ASSERT_EQ(train(first, {"training_args.max_steps=1"}).code, 0);
  Json entry = mixture_entry({"pep", "weighted_average"});
  entry["expert_clip_names"] = {entry["expert_clip_names"][0], entry["expert_clip_names"][1]};
  entry["gate_classes"] = {"experts/ct", "runs/mri"};
  entry["generalist_idx"] = 0;
  const fs::path second = write_mixture_recipe(folder / "second.yaml", entry, folder / "first", folder / "second");
  const Result result = run({"train", "--config", second.string(), "training_args.max_steps=1"});
  EXPECT_EQ(result.code, 2) << result.err;
  EXPECT_NE(result.err.find("2 classes, 4 experts"), std::string::npos) << result.err;
}

TEST(MixtureTrainingMode, TellsWhatItSpared) {
  const TemporaryFolder folder;
  const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", mixture_entry({"pep", "sequence_append"}), "", folder / "out");
  const Result result = run({"train", "--config", recipe.string(), "training_args.max_steps=2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE((result.out + result.err).find("50 % spared"), std::string::npos) << result.out << result.err;
  Json passes;
  std::istringstream lines(content_of(folder / "out/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    if (json.value("event", "") == "expert_passes") passes = json;
  }
  EXPECT_GT(passes["run"], 0);
  EXPECT_EQ(passes["run"].get<int64_t>() * 2, passes["all"].get<int64_t>());
}

TEST(MixtureTrainingMode, KeysOfOursCountFromTheRecipeWhereTheyAreWritten) {
  const TemporaryFolder folder;
  Mixture original{"shared", "weighted_average", "original"};
  const fs::path first = write_mixture_recipe(folder / "first.yaml", mixture_entry(original), "", folder / "first");
  ASSERT_EQ(train(first, {"training_args.max_steps=1"}).code, 0);
  const auto behaviour_after = [&](Json entry, const std::string& name) {
    entry["top_k_experts"] = 3;  // the checkpoint's counts
    const fs::path second = write_mixture_recipe(folder / (name + ".yaml"), entry, folder / "first", folder / name);
    const Result result = run({"train", "--config", second.string(), "training_args.max_steps=1"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("top_k_experts (3; the checkpoint has 2)"), std::string::npos) << result.err;
    const Json config = read_json(folder / name / "checkpoint-1/config.json")["modalities"][0];
    EXPECT_EQ(config["top_k_experts"], 2);
    return config["fusion_behaviour"];
  };
  original.behaviour = "correct";
  Json entry = mixture_entry(original);
  EXPECT_EQ(behaviour_after(entry, "kept"), "original");
  entry["fusion_behaviour"] = "correct";
  EXPECT_EQ(behaviour_after(entry, "changed"), "correct");
}

TEST(MixtureCheckpoint, PrefixesOfEarlierVersionsAreRead) {
  const TemporaryFolder folder;
  std::string answer;
  for (const char* prefix : {"modalities_with_projection.0.", "modalities.0.", "modalities.0.modality."}) {
    write_mixture_checkpoint({"pep", "cross_attn"}, folder / prefix, prefix);
    const Result result =
        run({"generate", "--model", folder / prefix, "--image", kImage, "--max-new-tokens", "6", "--json", "Which organ?"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err.find("are left out"), std::string::npos) << result.err;
    const Json json = Json::parse(result.out);
    if (answer.empty()) answer = json["ids"].dump() + json["margins"].dump();
    EXPECT_EQ(json["ids"].dump() + json["margins"].dump(), answer) << prefix;
  }
}

TEST(MixtureCheckpoint, WhatItNamesByAPathThatIsGoneIsFoundWhereTheRecipeNamesIt) {
  const TemporaryFolder folder;
  const Mixture mixture{"shared", "sequence_append"};
  write_mixture_checkpoint(mixture, folder / "start");
  Json config = read_json(folder / "start/config.json");
  Json& entry = config["modalities"][0];
  for (Json& name : entry["expert_clip_names"]) name = "gone/" + fs::path(name.get<std::string>()).filename().string();
  entry["gating_path"] = "gone/gate";
  entry["image_processor"] = "gone/general";
  std::ofstream(folder / "start/config.json") << config.dump();
  const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", mixture_entry(mixture), folder / "start", folder / "out");
  Result result = train(recipe, {"training_args.max_steps=1"});
  EXPECT_EQ(result.code, 0) << result.err;
  result = run({"generate", "--model", folder / "start", "--image", kImage, "Which organ?"});
  EXPECT_EQ(result.code, 2);
  for (const char* part : {"gone/ct", "expert_clip_names.0"}) EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
}

/// What is named by a run's relative path is found by other programs too, and by this one where the configurations are taken out.
TEST(MixtureCheckpoint, NamesTheFoldersThatWereTakenOfRuns) {
  const TemporaryFolder folder;
  const Mixture mixture{"pep", "weighted_average"};
  Json entry = mixture_entry(mixture);
  for (Json& expert : entry["expert_clip_names"]) {
    const fs::path source = expert.get<std::string>();
    write_checkpoint_folder(folder / source.filename().string(), 15, [&](const fs::path& target) { fs::copy(source, target); });
    expert = source.filename().string();
  }
  fs::create_directories(folder / "gate");
  fs::copy(mixture_data() / "gate", folder / "gate/best");
  entry["gating_path"] = "gate";
  const auto train_in = [&](const std::string& recipe, const std::vector<std::string>& more = {}) {
    std::vector<std::string> command{"env",      "-C",   folder.path().string(),     PROGRAM, "train",
                                     "--config", recipe, "training_args.max_steps=1"};
    command.insert(command.end(), more.begin(), more.end());
    return run_command(command);
  };
  write_mixture_recipe(folder / "recipe.yaml", entry, "", "out");
  ASSERT_EQ(train_in("recipe.yaml").code, 0);
  const fs::path checkpoint = folder / "out/checkpoint-1";
  Json config = read_json(checkpoint / "config.json");
  Json& modality = config["modalities"][0];
  EXPECT_EQ(modality["expert_clip_names"][0], (folder / "ct/checkpoint-15").string());
  EXPECT_EQ(modality["gating_path"], (folder / "gate/best").string());
  EXPECT_EQ(modality["image_processor"], entry["image_processor"]);

  // The recipe still names the runs: the same parts. Others are told, and not used.
  write_mixture_recipe(folder / "second.yaml", entry, "out", "second");
  Result result = train_in("second.yaml");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err.find("not used"), std::string::npos) << result.err;
  entry["gating_path"] = "other/gate2";
  entry["image_processor"] = "openai/clip";
  entry["gate_classes"] = {"general", "xray", "mri", "ct"};
  write_mixture_recipe(folder / "third.yaml", entry, "out", "third");
  result = train_in("third.yaml", {"base_llm=nowhere/llama"});
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* part : {"base_llm (nowhere/llama; the checkpoint has ", "gating_path (other/gate2; the checkpoint has ",
                           "image_processor (openai/clip; the checkpoint has ", "gate_classes here count, in place of the checkpoint's"})
    EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;

  const Json single{{"model_type", "meditron_clip"}, {"clip_name", "ct"}, {"hidden_size", 45}};
  write_mixture_recipe(folder / "single.yaml", single, "out", "single");
  result = train_in("single.yaml");
  EXPECT_NE(result.err.find("model_type (meditron_clip; the checkpoint has moe_meditron_clip_pep)"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("clip_name (ct"), std::string::npos) << "a mixture has none: " << result.err;

  for (const char* key : {"expert_configs", "gating_config", "image_processor_config"}) modality.erase(key);
  modality["expert_clip_names"][1] = (folder / "mri").string();
  modality["gating_path"] = (folder / "gate").string();
  fs::copy(checkpoint, folder / "bare");
  fs::remove(folder / "bare/manifest.json");
  std::ofstream(folder / "bare/config.json") << config.dump();
  result = run({"generate", "--model", folder / "bare", "--image", kImage, "--max-new-tokens", "1", "Which organ?"});
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST(MixturePlan, CountsAFullSizedMixtureFromConfigurationsAlone) {
  const TemporaryFolder folder;
  Json entry = mixture_entry({"pep", "cross_attn"});
  entry["cross_attn_heads"] = 9;
  entry["expert_clip_names"] = Json::array();
  Json classes = Json::array();
  for (const char* name : {"ct", "mri", "ultrasound", "xray", "general"}) {
    fs::create_directories(folder / name);
    std::ofstream(folder / name / "config.json") << R"({"model_type": "clip", "vision_config": {}})";  // ViT-B/32 is the default
    entry["expert_clip_names"].push_back((folder / name).string());
    classes.push_back(name);
  }
  fs::create_directories(folder / "gate");
  std::ofstream(folder / "gate/config.json") << Json{{"model_type", "gating_network"}, {"num_classes", 5}, {"class_names", classes}}.dump();
  std::ofstream(folder / "general/preprocessor_config.json") << R"({"size": 224, "crop_size": 224})";
  entry["image_processor"] = (folder / "general").string();
  entry["gating_path"] = (folder / "gate").string();
  const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", entry, "", folder / "out");
  const Result result = run({"train", "--config", recipe.string(), "--dry-run"});
  ASSERT_EQ(result.code, 0) << result.err;
  // Five towers of 87,456,000, of which the last norms (2 x 768) are unused; ResNet-50 with 5 classes; five projectors 768 -> 45 and the
  // attention in the width of 45.
  const std::string text = result.out + result.err;
  for (const char* part : {"437,280,000 parameters", "7,680 of them are not used", "23,518,277 parameters", "3,144,615 parameters",
                           "class 4 of the gate (general), the generalist"})
    EXPECT_NE(text.find(part), std::string::npos) << "no " << part << " in\n" << text;
}

/// A class without an expert, and an expert that stands twice, run; hardly as they were meant.
TEST(MixturePlan, TellsOfClassesAndExpertsThatDoNotPair) {
  const TemporaryFolder folder;
  Json entry = mixture_entry({"pep", "weighted_average"});
  entry["expert_clip_names"] = Json::array();
  for (const char* name : {"ct", "mri"}) {
    fs::create_directories(folder / name);
    std::ofstream(folder / name / "config.json") << R"({"model_type": "clip", "vision_config": {}})";
    entry["expert_clip_names"].push_back((folder / name).string());
  }
  entry["expert_clip_names"].push_back((folder / "ct").string());
  std::ofstream(folder / "ct/preprocessor_config.json") << R"({"size": 224, "crop_size": 224})";
  fs::create_directories(folder / "gate");
  const Json classes{"ct", "mri", "ultrasound", "xray"};
  std::ofstream(folder / "gate/config.json") << Json{{"model_type", "gating_network"}, {"num_classes", 4}, {"class_names", classes}}.dump();
  entry["image_processor"] = (folder / "ct").string();
  entry["gating_path"] = (folder / "gate").string();
  const auto plan = [&] {
    const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", entry, "", folder / "out");
    return run({"train", "--config", recipe.string(), "--dry-run"});
  };
  EXPECT_EQ(plan().code, 2) << "the second ct has no class of its own";
  entry["expert_clip_names"].erase(2);
  const Result result = plan();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("classes that no expert answers to: ultrasound, xray"), std::string::npos) << result.err;
  entry["gate_classes"] = {"ct", "mri"};
  EXPECT_EQ(plan().err.find("no expert answers to"), std::string::npos) << "whoever pairs them by hand knows";
}

// --- mistakes ---

void expect_mistake(const Json& entry, const std::vector<std::string>& parts) {
  const TemporaryFolder folder;
  const fs::path recipe = write_mixture_recipe(folder / "recipe.yaml", entry, "", folder / "out");
  const Result result = train(recipe);
  EXPECT_EQ(result.code, 2) << result.err;
  for (const std::string& part : parts) EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;
}

TEST(MixtureMistakes, WidthsGatesAndImagesThatDoNotFit) {
  Json entry = mixture_entry({"shared", "weighted_average"});
  entry["expert_clip_names"][1] = (mixture_data() / "wide/mri").string();
  expect_mistake(entry, {"experts of different width cannot share a projector", "modalities.0, expert_clip_names.1", "width 24"});

  entry = mixture_entry({"shared", "weighted_average"});
  entry["gating_path"] = (mixture_data() / "nowhere").string();
  expect_mistake(entry, {"gating_path", "nowhere"});

  // A folder of another name than any class's, and two left over: no rule matches them.
  const TemporaryFolder other;
  for (const char* name : {"skin", "eye"}) fs::copy(mixture_data() / "experts/ct", other / name, fs::copy_options::recursive);
  entry = mixture_entry({"pep", "cross_attn"});
  entry["expert_clip_names"][0] = (other / "skin").string();
  entry["expert_clip_names"][1] = (other / "eye").string();
  expect_mistake(entry, {"no class of the gate bears an expert's name", "skin", "gate_classes"});

  entry = mixture_entry({"pep", "cross_attn"});
  entry["gate_classes"] = {"experts/ct", "runs/mri", "general", "thorax"};
  expect_mistake(entry, {"gate_classes", "thorax", "elsewhere/experts/xray"});

  entry = mixture_entry({"pep", "cross_attn"});
  entry["image_processor"] = TEST_DATA "/case_qwen3_clip/vision/clip";
  expect_mistake(entry, {"the processor makes 48 x 48 pixels, the encoder takes 32 x 32"});

  entry = mixture_entry({"pep", "cross_attn"});
  entry["cross_attn_heads"] = 7;
  expect_mistake(entry, {"cross_attn_heads", "7 heads, width 45"});

  entry = mixture_entry({"pep", "cross_attn"});
  entry["generalist_idx"] = 4;
  expect_mistake(entry, {"the generalist is none of the experts", "`generalist_idx: 4` of 4 experts"});
}

/// Of a damaged part its own folder is named, not the language model's.
TEST(MixtureMistakes, AMissingTensorIsMissingInItsOwnFolder) {
  const TemporaryFolder folder;
  copy_parts(folder / "parts");
  const Json entry = mixture_entry({"pep", "weighted_average"}, folder / "parts");
  for (const auto& [part, tensor] : {std::pair("experts/ct", "pre_layrnorm.weight"), {"gate", "layer1.0.bn1.weight"}}) {
    const fs::path file = folder / "parts" / part / "model.safetensors";
    std::string bytes = content_of(file);
    const size_t place = bytes.find(tensor);
    ASSERT_NE(place, std::string::npos) << part;
    bytes[place] = 'x';
    std::ofstream(file) << bytes;
    expect_mistake(entry, {"tensors are missing\n  where: " + (folder / "parts" / part).string() + "\n", tensor});
    fs::copy_file(mixture_data() / part / "model.safetensors", file, fs::copy_options::overwrite_existing);
  }
}

TEST(MixtureMistakes, ExpertsThatKnowOtherPixelsAreTold) {
  const TemporaryFolder folder;
  copy_parts(folder / "parts");
  const fs::path recipe =
      write_mixture_recipe(folder / "recipe.yaml", mixture_entry({"pep", "weighted_average"}, folder / "parts"), "", folder / "out");
  const auto plan = [&] { return run({"train", "--config", recipe.string(), "--dry-run"}).err; };
  EXPECT_EQ(plan().find("another mean or std"), std::string::npos) << plan();
  const fs::path file = folder / "parts/experts/ct/preprocessor_config.json";
  Json json = read_json(file);
  json["image_mean"] = {0.5, 0.5, 0.5};
  std::ofstream(file) << json.dump();
  EXPECT_NE(plan().find("than the mixture's image processor: " + (folder / "parts/experts/ct").string() + "\n"), std::string::npos)
      << plan();
}

TEST(MixtureMistakes, AGateThatIsNone) {
  Json entry = mixture_entry({"pep", "weighted_average"});
  entry["gating_path"] = (mixture_data() / "experts/ct").string();
  expect_mistake(entry, {"this is not a gating network", "key model_type", "found: clip"});
  entry["gating_path"] = (mixture_data() / "gate/model.safetensors").string();
  expect_mistake(entry, {"a gate is a folder", "config.json"});
}

TEST(MixtureMistakes, ACheckpointThatLacksAnExpertNamesItsTensors) {
  const TemporaryFolder folder;
  write_mixture_checkpoint({"pep", "cross_attn"}, folder / "start");
  Json config = read_json(folder / "start/config.json");
  Json& names = config["modalities"][0]["expert_clip_names"];
  names.insert(names.begin() + 1, (mixture_data() / "experts/mri").string());
  std::ofstream(folder / "start/config.json") << config.dump();
  const Result result = run({"generate", "--model", (folder / "start").string(), "--image", kImage, "Which organ?"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("experts"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace multimeditron::testing
