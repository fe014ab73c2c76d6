#include "models/language/decoder_config.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "base/suggest.h"
#include "models/config_reader.h"

namespace multimeditron {
namespace {

using Reader = DecoderConfig (*)(const Json&, const ConfigReader&);

const std::map<std::string, Reader>& architectures() {
  static const std::map<std::string, Reader> known{{"qwen3", qwen3_config}, {"llama", llama_config}};
  return known;
}

void refuse(const ConfigReader& reader, const char* key, const std::string& found) {
  throw UserError("this model uses a feature that is not supported",
                  {.where = fmt::format("{}, key {}", reader.where(), key), .found = found});
}

}  // namespace

DecoderConfig read_decoder_config(const Json& json, const std::string& where) {
  const ConfigReader reader(json, where);
  const std::string model_type = reader.string("model_type", "");
  const auto known = architectures().find(model_type);
  if (known == architectures().end()) {
    std::vector<std::string> names;
    for (const auto& [name, unused] : architectures()) names.push_back(name);
    throw UserError("this language model's architecture is not known", {.where = where + ", key model_type",
                                                                        .found = model_type.empty() ? "nothing" : model_type,
                                                                        .fix = "use one of: " + join_or(names)});
  }
  DecoderConfig config = known->second(json, reader);
  if (config.head_dim < 2 || config.head_dim % 2 != 0 || config.head_dim > 512) {
    refuse(reader, "head_dim", fmt::format("{}; even and 2 to 512 is supported", config.head_dim));
  }
  return config;
}

DecoderConfig read_llama_family(const Json& json, const ConfigReader& reader) {
  DecoderConfig config;
  config.json = json;
  config.model_type = reader.string("model_type", "");
  config.hidden_size = reader.integer("hidden_size");
  config.intermediate_size = reader.integer("intermediate_size");
  config.num_hidden_layers = reader.integer("num_hidden_layers");
  config.num_attention_heads = reader.integer("num_attention_heads");
  config.num_key_value_heads = reader.integer("num_key_value_heads", config.num_attention_heads);
  config.head_dim = reader.integer("head_dim", config.hidden_size / config.num_attention_heads);
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("max_position_embeddings", 2048);
  config.rms_norm_eps = reader.number("rms_norm_eps", 1e-6);
  config.initializer_range = reader.number("initializer_range", 0.02);
  config.tie_word_embeddings = reader.boolean("tie_word_embeddings", false);

  // transformers 4 has rope_theta and rope_scaling at the top, transformers 5 both inside rope_parameters.
  const Json& rope = reader.has("rope_parameters") ? reader.object("rope_parameters") : reader.object("rope_scaling");
  const ConfigReader rope_reader(rope, reader.where() + ", rope_parameters");
  config.rope_theta = rope_reader.number("rope_theta", reader.number("rope_theta", 10000.0));
  const std::string rope_type = rope_reader.string("rope_type", rope_reader.string("type", "default"));
  if (rope_type == "llama3") {
    config.rope_scaling =
        Llama3RopeScaling{.factor = rope_reader.number("factor", 8),
                          .low_freq_factor = rope_reader.number("low_freq_factor", 1),
                          .high_freq_factor = rope_reader.number("high_freq_factor", 4),
                          .original_max_position_embeddings = rope_reader.number("original_max_position_embeddings", 8192)};
  } else if (rope_type != "default") {
    refuse(reader, "rope_scaling", fmt::format("rope_type {}; known: default, llama3", rope_type));
  }

  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    refuse(reader, "num_key_value_heads",
           fmt::format("{} attention heads are not a multiple of {}", config.num_attention_heads, config.num_key_value_heads));
  }
  if (reader.string("hidden_act", "silu") != "silu") refuse(reader, "hidden_act", reader.string("hidden_act", ""));
  if (reader.boolean("attention_bias", false)) refuse(reader, "attention_bias", "true");
  if (reader.boolean("mlp_bias", false)) refuse(reader, "mlp_bias", "true");
  if (reader.boolean("use_sliding_window", false)) refuse(reader, "use_sliding_window", "true");
  return config;
}

}  // namespace multimeditron
