#include <utility>

#include "models/config_reader.h"
#include "models/language/decoder_config.h"

namespace multimeditron {

/// Apertus (arXiv:2509.14233): q/k norm as Qwen3's, xIELU in an MLP without a gate, norms under names of its own, Llama 3's rope scaling.
DecoderConfig apertus_config(const Json& json, const ConfigReader& reader) {
  DecoderConfig config;
  config.activation = Activation::kXielu;
  config.qk_norm = true;
  config.attention_norm = "attention_layernorm";
  config.mlp_norm = "feedforward_layernorm";
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 12e6;
  config.rope_scaling = Llama3RopeScaling{};
  config = read_llama_family(json, reader, std::move(config));
  config.qkv_bias = config.o_bias = reader.boolean("attention_bias", false);
  return config;
}

}  // namespace multimeditron
