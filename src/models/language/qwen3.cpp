#include "models/config_reader.h"
#include "models/language/decoder_config.h"

namespace multimeditron {

/// Qwen3 (arXiv:2505.09388): Llama's decoder with an RMS norm on each head's q and k; head_dim stands in the config (default 128).
DecoderConfig qwen3_config(const Json& json, const ConfigReader& reader) {
  DecoderConfig config = read_llama_family(json, reader);
  config.head_dim = reader.integer("head_dim", 128);
  config.qk_norm = true;
  config.qkv_bias = config.o_bias = reader.boolean("attention_bias", false);
  config.layer_windows = read_layer_windows(config, reader);
  return config;
}

}  // namespace multimeditron
