// `train --dry-run` of the cookbook's recipes with nothing but the published models' config.json: counts without weights, tokenizers, data.
#include <gtest/gtest.h>

#include "base/file.h"
#include "run_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

struct Model {
  const char* id;
  const char* file;
  const char* json;
};

// The values of the published configs, as far as they shape the model.
const Model kModels[] = {
    {"Qwen/Qwen3-4B-Instruct-2507", "config.json",
     R"({"model_type": "qwen3", "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
         "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "max_position_embeddings": 262144, "rms_norm_eps": 1e-6,
         "rope_theta": 5000000, "tie_word_embeddings": true})"},
    {"meta-llama/Llama-3.1-8B-Instruct", "config.json",
     R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000,
         "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
         "original_max_position_embeddings": 8192}, "tie_word_embeddings": false})"},
    {"swiss-ai/Apertus-8B-Instruct-2509", "config.json",
     R"({"model_type": "apertus", "hidden_size": 4096, "intermediate_size": 21504, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "vocab_size": 131072, "max_position_embeddings": 65536, "rms_norm_eps": 1e-5, "rope_theta": 12000000,
         "rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
         "original_max_position_embeddings": 8192}, "hidden_act": "xielu", "tie_word_embeddings": false})"},
    {"openai/clip-vit-large-patch14", "config.json",
     R"({"model_type": "clip", "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
         "num_attention_heads": 16, "image_size": 224, "patch_size": 14}})"},
    {"michel-ducartier/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224", "open_clip_config.json",
     R"({"model_cfg": {"embed_dim": 512, "vision_cfg": {"timm_model_name": "vit_base_patch16_224", "timm_proj": "linear", "image_size": 224}},
         "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}})"},
    {"ClosedMeditron/MultiMeditron-Gating", "config.json",
     R"({"model_type": "gating_network", "num_classes": 5, "top_k": 1, "image_processor_path": "openai/clip-vit-base-patch32", "class_names":
         ["MedExpert-CT", "MedExpert-MRI", "MedExpert-Ultrasound", "MedExpert-Xray", "clip-vit-base-patch32"]})"},
};
const char* const kExperts[] = {"ClosedMeditron/MedExpert-CT",          "ClosedMeditron/MedExpert-MRI",
                                "ClosedMeditron/MedExpert-Ultrasound",  "ClosedMeditron/MedExpert-Xray",
                                "ClosedMeditron/clip-vit-base-patch32", "openai/clip-vit-base-patch32"};
constexpr const char* kProcessor =
    R"({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224},
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3})";

/// A hub cache with one snapshot a model, and only its configuration in it.
class Cookbook : public ::testing::Test {
 protected:
  Cookbook() {
    for (const Model& model : kModels) add(model.id, model.file, model.json);
    for (const char* id : kExperts) add(id, "config.json", R"({"model_type": "clip", "vision_config": {}})");  // ViT-B/32
  }

  void add(std::string id, const char* file, const char* json) {
    id.replace(id.find('/'), 1, "--");
    const fs::path folder = cache_ / ("models--" + id) / "snapshots/0";
    fs::create_directories(folder);
    write_file_atomic(folder / file, json);
    write_file_atomic(folder / "preprocessor_config.json", kProcessor);
    fs::create_directories(folder.parent_path().parent_path() / "refs");
    write_file_atomic(folder.parent_path().parent_path() / "refs/main", "0");
  }

  /// The rows of the table: "llm" -> "8,030,261,248 parameters, bf16, frozen".
  Json plan(const std::string& recipe) {
    const Result result =
        run_command({PROGRAM, "train", std::string(TEST_DATA) + "/../../recipes/sft/" + recipe + ".yaml", "--dry-run", "--json"},
                    {"HF_HUB_CACHE=" + cache_.path().string(), "STORAGE_ROOT=/no/data", "MODEL_ROOT=/no/models"});
    EXPECT_EQ(result.code, 0) << recipe << "\n" << result.err;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) {
      const Json json = Json::parse(line, nullptr, false);
      if (json.is_object() && json.value("event", "") == "header") return json.at("rows");
    }
    ADD_FAILURE() << recipe << ": no table in\n" << result.out;
    return Json::object();
  }

  TemporaryFolder cache_;
};

int64_t count_of(const Json& plan, const char* component) {
  std::string digits;
  for (const char c : plan.value(component, std::string())) {
    if (c == ' ') break;
    if (c != ',') digits += c;
  }
  return digits.empty() ? 0 : std::stoll(digits);
}

int64_t projector(int64_t from, int64_t to) {
  return from * from + from + from * to + to + to * to + to;
}

constexpr int64_t kQwen = 4'022'468'096, kLlama = 8'030'261'248, kApertus = 8'053'338'176;
constexpr int64_t kClipB32 = 87'456'000, kTimmB16 = 85'798'656, kGate = 23'508'032 + 2048 * 5 + 5;

TEST_F(Cookbook, EveryRecipeIsCountedFromConfigurationsAlone) {
  struct Shape {
    const char* folder;
    int64_t llm, vision, gate, projector;
  };
  const int64_t shared = projector(768, 4096), each = 5 * shared;
  const Shape shapes[] = {
      {"single_clip/qwen_biomedclip", kQwen, kTimmB16, 0, projector(768, 2560)},
      {"single_clip/apertus_biomedclip", kApertus, kTimmB16, 0, projector(768, 4096)},
      {"single_clip/llama_biomedclip", kLlama, kTimmB16, 0, projector(768, 4096)},
      {"moe/attn/pep", kLlama, 5 * kClipB32, kGate, each + 4 * (4096 * 4096 + 4096)},
      {"moe/attn/shared", kLlama, 5 * kClipB32, kGate, shared + 4 * (768 * 768 + 768)},
      {"moe/avg/pep", kLlama, 5 * kClipB32, kGate, each},
      {"moe/avg/shared", kLlama, 5 * kClipB32, kGate, shared},
      {"moe/cat/pep", kLlama, 5 * kClipB32, kGate, each},
      {"moe/cat/shared", kLlama, 5 * kClipB32, kGate, shared},
  };
  for (const Shape& shape : shapes) {
    for (const char* stage : {"stage1_alignment", "stage2_end2end"}) {
      const std::string name = std::string(shape.folder) + "/" + stage;
      const Json rows = plan(name);
      EXPECT_EQ(count_of(rows, "llm"), shape.llm) << name << rows;
      EXPECT_EQ(count_of(rows, "vision"), shape.vision) << name;
      EXPECT_EQ(count_of(rows, "gate"), shape.gate) << name;
      EXPECT_EQ(count_of(rows, "projector"), shape.projector) << name;
      const bool stage2 = std::string(stage) == "stage2_end2end";
      EXPECT_NE(rows.value("llm", "").find(stage2 ? "trained, learning rate 1e-05" : "frozen"), std::string::npos) << rows;
      EXPECT_NE(rows.value("projector", "").find("trained"), std::string::npos) << rows;
      EXPECT_NE(rows.value("vision", "").find("frozen"), std::string::npos) << rows;
    }
  }
  // Its second stage names another tower than the first: without a checkpoint the plan can only count what the recipe names.
  EXPECT_EQ(count_of(plan("single_clip/llama_clip/stage1_alignment"), "vision"), 303'179'776);
  EXPECT_EQ(count_of(plan("single_clip/llama_clip/stage2_end2end"), "vision"), kClipB32);
}

TEST_F(Cookbook, WhatIsMissingIsListed) {
  const Json rows = plan("single_clip/qwen_biomedclip/stage2_end2end");
  EXPECT_NE(rows.dump().find("base_model: /no/models/freeze"), std::string::npos) << rows;
  EXPECT_NE(rows.dump().find("datasets."), std::string::npos) << rows;
  EXPECT_NE(rows.value("tokenizer", "").find("not there"), std::string::npos) << rows;
  // A configuration tells a model's size; running it takes more.
  const std::string lacking = plan("single_clip/qwen_biomedclip/stage1_alignment").value("missing", "");
  for (const char* part : {"weights of base_llm: Qwen/", "weights of modalities.0.clip_name: "})
    EXPECT_NE(lacking.find(part), std::string::npos) << lacking;
}

}  // namespace
}  // namespace multimeditron::testing
