#include "models/language/decoder_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "base/suggest.h"
#include "models/config_reader.h"

namespace multimeditron {
namespace {

using Reader = DecoderConfig (*)(const Json&, const ConfigReader&);

const std::map<std::string, Reader>& architectures() {
  static const std::map<std::string, Reader> known{
      {"apertus", apertus_config}, {"llama", llama_config}, {"mistral", mistral_config}, {"qwen2", qwen2_config}, {"qwen3", qwen3_config}};
  return known;
}

/// What a recipe names beside the language model, and is easily mistaken for a model of its own.
const std::map<std::string, const char*>& image_parts() {
  static const std::map<std::string, const char*> parts{
      {"clip", "a CLIP, for `clip_name` or `expert_clip_names` of a recipe"},
      {"clip_vision_model", "a CLIP's vision tower, for `clip_name` or `expert_clip_names` of a recipe"},
      {"vision-text-dual-encoder", "an image encoder, for `clip_name` of a recipe"},
      {"vit", "an image encoder"},
      {"timm_vit", "an image encoder, for `clip_name` of a recipe"},
      {"gating_network", "a gate, for `gating_path` of a recipe"},
      {"resnet", "an image classifier, for `gating_path` or `pretrained_backbone` of a recipe"},
  };
  return parts;
}

/// transformers 4 has rope_theta and rope_scaling at the top, transformers 5 both inside rope_parameters.
void read_rope(DecoderConfig& config, const ConfigReader& reader) {
  const char* key = reader.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const Json& json = reader.object(key);
  const ConfigReader rope(json, fmt::format("{}, {}", reader.where(), key));
  const std::vector<std::string> known{"rope_type",       "type",
                                       "rope_theta",      "partial_rotary_factor",
                                       "low_freq_factor", "high_freq_factor",
                                       "factor",          "original_max_position_embeddings"};
  for (const auto& [name, value] : json.items()) {
    if (std::ranges::find(known, name) == known.end())
      refuse_feature(reader, fmt::format("{}.{}", key, name), value.dump(), join_or(known));
  }
  config.rope_theta = rope.number("rope_theta", reader.number("rope_theta", config.rope_theta));
  if (config.rope_theta <= 0) refuse_feature(reader, "rope_theta", fmt::format("{:g}", config.rope_theta), "a positive number");
  const double partial = rope.number("partial_rotary_factor", reader.number("partial_rotary_factor", 1));
  if (partial != 1) refuse_feature(reader, "partial_rotary_factor", fmt::format("{:g}", partial), "1: all of a head is rotated");

  const std::string type = rope.string("rope_type", rope.string("type", "default"));
  if (type == "default") {
    if (!json.empty()) config.rope_scaling.reset();
    return;
  }
  if (type != "llama3") refuse_feature(reader, fmt::format("{}.rope_type", key), type, "default or llama3");
  const auto positive = [&](const char* name) {
    const double value = rope.number(name, 0);
    if (value <= 0)
      refuse_feature(reader, fmt::format("{}.{}", key, name), rope.has(name) ? fmt::format("{:g}", value) : "nothing", "a positive number");
    return value;
  };
  config.rope_scaling = Llama3RopeScaling{.factor = positive("factor"),
                                          .low_freq_factor = positive("low_freq_factor"),
                                          .high_freq_factor = positive("high_freq_factor"),
                                          .original_max_position_embeddings = positive("original_max_position_embeddings")};
  if (config.rope_scaling->high_freq_factor <= config.rope_scaling->low_freq_factor) {
    refuse_feature(reader, fmt::format("{}.high_freq_factor", key), fmt::format("{:g}", config.rope_scaling->high_freq_factor),
                   fmt::format("more than low_freq_factor, {:g}", config.rope_scaling->low_freq_factor));
  }
}

}  // namespace

void refuse_feature(const ConfigReader& reader, const std::string& key, const std::string& found, const std::string& supported) {
  throw UserError("this language model uses a feature that is not supported",
                  {.where = fmt::format("{}, key {}", reader.where(), key),
                   .found = found,
                   .fix = fmt::format("use a model without it; supported is {}", supported)});
}

DecoderConfig read_decoder_config(const Json& json, const std::string& where) {
  const ConfigReader reader(json, where);
  const std::string model_type = reader.string("model_type", "");
  const auto known = architectures().find(model_type);
  if (known == architectures().end()) {
    if (const auto part = image_parts().find(model_type); part != image_parts().end()) {
      throw UserError("this folder holds no language model", {.where = where + ", key model_type",
                                                              .found = fmt::format("{}: {}", model_type, part->second),
                                                              .fix = "name the folder of a language model, or a checkpoint of `train`"});
    }
    std::vector<std::string> names;
    for (const auto& [name, unused] : architectures()) names.push_back(name);
    throw UserError("this language model's architecture is not known", {.where = where + ", key model_type",
                                                                        .found = model_type.empty() ? "nothing" : model_type,
                                                                        .fix = "use one of: " + join_or(names)});
  }
  DecoderConfig config = known->second(json, reader);
  if (config.head_dim < 2 || config.head_dim % 2 != 0 || config.head_dim > 512) {
    refuse_feature(reader, "head_dim", std::to_string(config.head_dim), "an even number from 2 to 512");
  }
  return config;
}

DecoderConfig read_llama_family(const Json& json, const ConfigReader& reader, DecoderConfig config) {
  config.json = json;
  config.model_type = reader.string("model_type", "");
  if (reader.has("quantization_config")) {
    const Json& quantization = json.at("quantization_config");
    refuse_feature(reader, "quantization_config",
                   quantization.is_object() ? quantization.value("quant_method", Json("an object")).dump() : "",
                   "float32, float16 or bfloat16 weights");
  }
  config.hidden_size = reader.integer("hidden_size");
  config.intermediate_size = reader.integer("intermediate_size");
  config.num_hidden_layers = reader.integer("num_hidden_layers");
  config.num_attention_heads = reader.integer("num_attention_heads");
  config.num_key_value_heads = reader.integer("num_key_value_heads", config.num_attention_heads);
  config.head_dim = reader.integer("head_dim", std::max<int64_t>(1, config.hidden_size / config.num_attention_heads));
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("max_position_embeddings", 2048);
  config.rms_norm_eps = reader.number("rms_norm_eps", config.rms_norm_eps);
  config.initializer_range = reader.number("initializer_range", config.initializer_range);
  config.tie_word_embeddings = reader.boolean("tie_word_embeddings", false);
  if (reader.has("pad_token_id")) {
    if (!json.at("pad_token_id").is_number_integer()) refuse_feature(reader, "pad_token_id", json.at("pad_token_id").dump(), "a token id");
    const auto id = json.at("pad_token_id").get<int64_t>();
    config.pad_token_id = id < 0 ? id + config.vocab_size : id;  // as torch.nn.Embedding counts
  }
  read_rope(config, reader);

  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    refuse_feature(reader, "num_key_value_heads", std::to_string(config.num_key_value_heads),
                   fmt::format("a divisor of the {} attention heads", config.num_attention_heads));
  }
  const std::string known_act = config.activation == Activation::kXielu ? "xielu" : "silu", act = reader.string("hidden_act", known_act);
  if (act != known_act) refuse_feature(reader, "hidden_act", act, known_act);
  if (reader.number("attention_dropout", 0) != 0) warn(fmt::format("{}: attention_dropout is not applied", reader.where()));
  return config;
}

std::vector<int64_t> read_layer_windows(const DecoderConfig& config, const ConfigReader& reader) {
  if (!reader.boolean("use_sliding_window", false)) return {};
  // 4096 and 28 are transformers' defaults; a window that is null is none.
  const bool unlimited = config.json.contains("sliding_window") && config.json.at("sliding_window").is_null();
  const int64_t window = unlimited ? 0 : reader.integer("sliding_window", 4096);
  const int64_t first = reader.has("max_window_layers") ? reader.index("max_window_layers") : 28;
  std::vector<int64_t> windows;
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) windows.push_back(i >= first ? window : 0);
  if (!reader.has("layer_types")) return windows;
  const Json& types = config.json.at("layer_types");
  if (!types.is_array() || types.size() != windows.size()) {
    refuse_feature(reader, "layer_types", types.dump(), fmt::format("a list of {} names", windows.size()));
  }
  for (size_t i = 0; i < windows.size(); ++i) {
    if (types[i] != "full_attention" && types[i] != "sliding_attention") {
      refuse_feature(reader, fmt::format("layer_types.{}", i), types[i].dump(), "full_attention or sliding_attention");
    }
    windows[i] = types[i] == "sliding_attention" ? window : 0;
  }
  return windows;
}

}  // namespace multimeditron
