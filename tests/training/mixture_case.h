#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/temporary_folder.h"
#include "checkpoint/safetensors.h"

namespace multimeditron::testing {

/// Kind ("shared", "pep"), fusion and behaviour ("correct", "original", "top_k") of a mixture of tests/data/mixture.
struct Mixture {
  std::string kind, fusion, behaviour = "correct";

  std::string name() const { return kind + " " + fusion + " " + behaviour; }
  std::string test_name() const { return kind + "_" + fusion + "_" + behaviour; }
};

inline void PrintTo(const Mixture& mixture, std::ostream* out) {
  *out << mixture.name();
}

inline std::filesystem::path mixture_data() {
  return std::filesystem::path(TEST_DATA) / "mixture";
}

inline const Json& mixture_golden() {
  static const Json json = read_json(mixture_data() / "expected.json");
  return json;
}

/// The entry of `modalities` that describes a mixture, in the original's keys and ours; experts and gate below `parts`.
inline Json mixture_entry(const Mixture& mixture, const std::filesystem::path& parts = mixture_data()) {
  const Json& golden = mixture_golden();
  Json entry{{"model_type", mixture.kind == "pep" ? "moe_meditron_clip_pep" : "moe_meditron_clip"},
             {"modality_type", "image"},
             {"hidden_size", 45},
             {"projection_type", "mlp"},
             {"image_processor", (parts / "experts/general").string()},
             {"gating_path", (parts / "gate").string()},
             {"fusion_method", mixture.fusion},
             {"top_k_experts", golden["top_k"]},
             {"generalist_idx", -1},
             {"cross_attn_heads", golden["heads"][mixture.kind]},
             {"cross_attn_dropout", 0}};
  for (const std::string expert : golden["experts"][mixture.kind]) entry["expert_clip_names"].push_back((parts / expert).string());
  if (mixture.behaviour == "original") entry["fusion_behaviour"] = "original";
  if (mixture.behaviour == "top_k") entry["experts"] = "top_k";
  return entry;
}

/// Writes a checkpoint as the original does: parts named by path, all tensors in one file. The language model is case_two's.
inline void write_mixture_checkpoint(const Mixture& mixture, const std::filesystem::path& folder,
                                     const std::string& prefix = "modalities_with_projection.0.") {
  namespace fs = std::filesystem;
  const fs::path source = fs::path(TEST_DATA) / "case_two/cases/qwen3_clip/checkpoint";
  fs::create_directories(folder);
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
    fs::copy_file(source / file, folder / file, fs::copy_options::overwrite_existing);
  Json config = read_json(source / "config.json");
  config["llm_path"] = (fs::path(TEST_DATA) / "case_two/llm/qwen3").string();
  config["modalities"] = Json::array({mixture_entry(mixture)});
  std::ofstream(folder / "config.json") << config.dump(1);

  std::vector<std::unique_ptr<SafetensorsReader>> readers;
  std::vector<TensorSource> tensors;
  const auto add = [&](const fs::path& file, const auto& rename) {
    readers.push_back(std::make_unique<SafetensorsReader>(file));
    for (const auto& [name, view] : readers.back()->tensors()) {
      const std::string renamed = rename(name);
      if (renamed.empty()) continue;
      tensors.push_back({.name = renamed, .dtype = view.dtype, .shape = view.shape, .bytes = [bytes = view.bytes] { return bytes; }});
    }
  };
  add(source, [](const std::string& name) { return name.starts_with("model.") ? name : ""; });
  int number = 0;
  for (const std::string expert : mixture_golden()["experts"][mixture.kind]) {
    add(mixture_data() / expert, [&](std::string name) -> std::string {
      if (name.starts_with("vision_model.")) name = name.substr(13);
      const bool is_tower = name.starts_with("embeddings.") || name.starts_with("encoder.") || name.starts_with("pre_layrnorm.") ||
                            name.starts_with("post_layernorm.");
      return is_tower ? prefix + "experts." + std::to_string(number) + "." + name : "";
    });
    ++number;
  }
  add(mixture_data() / "gate", [&](const std::string& name) { return prefix + "gating_network." + name; });
  add(mixture_data() / "fusion.safetensors", [&](const std::string& name) -> std::string {
    const bool is_wanted =
        name.starts_with(mixture.kind + ".") && (mixture.fusion == "cross_attn" || name.find(".cross_attn.") == std::string::npos);
    return is_wanted ? prefix + name.substr(mixture.kind.size() + 1) : "";
  });
  write_safetensors(folder, "model", std::move(tensors));
}

/// A recipe for a mixture, as JSON, which YAML takes too. `base_model` empty: from its parts.
inline std::filesystem::path write_mixture_recipe(const std::filesystem::path& file, const Json& entry, const std::string& base_model,
                                                  const std::filesystem::path& output, const std::string& mode = "ALIGNMENT") {
  const Json& golden = mixture_golden()["recipe"];
  const std::string case_two = (std::filesystem::path(TEST_DATA) / "case_two").string();
  Json recipe{{"base_llm", case_two + "/llm/qwen3"},
              {"base_model", base_model.empty() ? Json() : Json(base_model)},
              {"tokenizer_type", "qwen3"},
              {"token_size", 45},
              {"seed", golden["seed"]},
              {"loaders", {{{"loader_type", "raw-image"}, {"modality_type", "image"}}}},
              {"modalities", Json::array({entry})},
              {"training_mode", mode},
              {"datasets", {{{"packed_path", case_two + "/data/arrow"}}}},
              {"training_args", golden["training_args"]}};
  recipe["training_args"].update({{"output_dir", output.string()}, {"bf16", false}, {"save_strategy", "steps"}, {"save_steps", 1000}});
  std::ofstream(file) << recipe.dump(1);
  return file;
}

inline std::vector<Mixture> all_mixtures() {
  std::vector<Mixture> mixtures;
  for (const char* kind : {"shared", "pep"})
    for (const char* fusion : {"weighted_average", "sequence_append", "cross_attn"}) mixtures.push_back({kind, fusion});
  return mixtures;
}

}  // namespace multimeditron::testing
