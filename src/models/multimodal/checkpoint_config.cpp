#include "models/multimodal/checkpoint_config.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "base/error.h"
#include "checkpoint/weights.h"
#include "models/config_reader.h"
#include "models/vision/timm_vit.h"

namespace multimeditron {
namespace fs = std::filesystem;

namespace {

/// Shapes of a checkpoint's tensors by their canonical names; the file is opened when the first is asked for.
class TensorShapes {
 public:
  explicit TensorShapes(fs::path folder) : folder_(std::move(folder)) {}

  const std::vector<int64_t>* find(size_t modality, const std::string& name) {
    if (!reader_) {
      reader_ = std::make_unique<WeightsReader>(folder_);
      for (const auto& [each, view] : reader_->tensors()) shapes_[canonical_tensor_name(each)] = &view.shape;
    }
    const auto found = shapes_.find(fmt::format("modalities_with_projection.{}.{}", modality, name));
    return found == shapes_.end() ? nullptr : found->second;
  }

 private:
  fs::path folder_;
  std::unique_ptr<WeightsReader> reader_;
  std::map<std::string, const std::vector<int64_t>*> shapes_;
};

}  // namespace

ModelConfig read_checkpoint_config(const Json& json, const fs::path& folder, const CheckpointParts& fallback) {
  const std::string where = (folder / "config.json").string();
  const ConfigReader reader(json, where);
  ModelConfig config;
  config.llm_path = reader.string("llm_path", "");
  if (reader.has("llm_config")) {
    config.llm = read_decoder_config(reader.object("llm_config"), where + ", llm_config");
  } else {
    const fs::path llm = find_part(config.llm_path, folder, fallback.llm, fallback.relative_to, "llm_path in config.json");
    config.llm = read_decoder_config(read_json(llm / "config.json"), (llm / "config.json").string());
    if (fs::exists(llm / "generation_config.json")) config.generation_config = read_json(llm / "generation_config.json");
  }
  config.llm.vocab_size = reader.integer("vocab_size", config.llm.vocab_size);
  config.truncation = reader.boolean("truncation", false);
  if (reader.has("max_sequence_length")) config.max_sequence_length = reader.integer("max_sequence_length");
  if (reader.has("attachment_token_idx")) config.attachment_token_id = reader.index("attachment_token_idx");
  config.attachment_token = reader.string("attachment_token", config.attachment_token_id >= 0 ? "" : "<|reserved_special_token_0|>");
  if (reader.has("tokenizer_type")) config.tokenizer_type = parse_tokenizer_type(reader.string("tokenizer_type", ""));
  if (fs::exists(folder / "generation_config.json")) config.generation_config = read_json(folder / "generation_config.json");

  if (!reader.has("modalities") || !json.at("modalities").is_array()) {
    throw UserError("a checkpoint's configuration lacks a key", {.where = where, .found = "no list `modalities`"});
  }
  const Json& modalities = json.at("modalities");
  TensorShapes shapes(folder);
  for (size_t k = 0; k < modalities.size(); ++k) {
    const CheckpointContext context{.folder = folder,
                                    .fallback = k < fallback.modalities.size() ? &fallback.modalities[k] : nullptr,
                                    .fallback_folder = fallback.relative_to,
                                    .shape_of = [&, k](const std::string& name) { return shapes.find(k, name); }};
    config.modalities.push_back(read_modality_config(modalities[k], fmt::format("{}, modalities.{}", where, k), context));
  }
  return config;
}

Json write_checkpoint_config(const ModelConfig& config, const std::string& dtype, const Tokenizer& tokenizer) {
  Json llm = config.llm.json;
  llm["vocab_size"] = config.llm.vocab_size;
  // A negative id counted from the end of the vocabulary that the model came with; the attachment token has made it longer.
  if (config.llm.pad_token_id) llm["pad_token_id"] = *config.llm.pad_token_id;
  llm.erase("torch_dtype");
  llm["dtype"] = dtype;
  if (config.modalities.empty()) return llm;

  Json json;
  json["architectures"] = {"MultiModalModelForCausalLM"};
  json["attachment_token_idx"] = config.attachment_token_id;
  json["dtype"] = dtype;
  json["eos_token_idx"] = tokenizer.eos_token_id() ? Json(*tokenizer.eos_token_id()) : Json();
  json["hidden_size"] = config.llm.hidden_size;
  json["initializer_range"] = config.llm.initializer_range;
  json["llm_path"] = config.llm_path;
  json["max_sequence_length"] = config.max_sequence_length ? Json(*config.max_sequence_length) : Json();
  json["modalities"] = Json::array();
  for (const ModalityConfig& modality : config.modalities) json["modalities"].push_back(write_modality_config(modality));
  json["model_type"] = "multimodal";
  json["pad_token_idx"] = 0;
  json["padding_side"] = "left";
  json["truncation"] = config.truncation;
  json["vocab_size"] = config.llm.vocab_size;
  // What the original does not write: with these the checkpoint needs no other folder.
  json["attachment_token"] = config.attachment_token;
  if (config.tokenizer_type) json["tokenizer_type"] = to_string(*config.tokenizer_type);
  json["llm_config"] = llm;
  return json;
}

std::string canonical_tensor_name(const std::string& name) {
  const std::string prefix = "modalities_with_projection.", other = "modalities.";
  const std::string result = name.starts_with(other) ? prefix + name.substr(other.size()) : name;
  if (!result.starts_with(prefix)) return result;
  const size_t dot = result.find('.', prefix.size());
  if (dot == std::string::npos) return result;
  std::string rest = result.substr(dot + 1);
  if (rest.starts_with("modality.")) rest = rest.substr(std::string("modality.").size());
  if (rest.starts_with("projection.")) rest = "projector." + rest;
  // An encoder that was a ViTModel of transformers': known here under the names of the open_clip model that it was converted from.
  if (const std::string extractor = "feature_extractor."; rest.starts_with(extractor)) {
    const std::string name = open_clip_tensor_name(rest.substr(extractor.size()));
    if (name.starts_with("visual.trunk.")) rest = extractor + name;
  }
  return result.substr(0, dot + 1) + rest;
}

}  // namespace multimeditron
