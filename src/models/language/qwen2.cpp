#include "models/config_reader.h"
#include "models/language/decoder_config.h"

namespace multimeditron {

/// Qwen2 and Qwen2.5 (arXiv:2412.15115): Llama's decoder with biases on q, k and v, and a window in the later layers where the config asks.
DecoderConfig qwen2_config(const Json& json, const ConfigReader& reader) {
  DecoderConfig config = read_llama_family(json, reader);
  config.qkv_bias = true;
  config.layer_windows = read_layer_windows(config, reader);
  return config;
}

}  // namespace multimeditron
