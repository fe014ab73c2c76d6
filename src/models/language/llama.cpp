#include "models/config_reader.h"
#include "models/language/decoder_config.h"

namespace multimeditron {

/// Llama 2, 3, 3.1 and 3.2 (arXiv:2407.21783), SmolLM2: the plain decoder.
DecoderConfig llama_config(const Json& json, const ConfigReader& reader) {
  DecoderConfig config = read_llama_family(json, reader);
  config.qkv_bias = config.o_bias = reader.boolean("attention_bias", false);
  config.mlp_bias = reader.boolean("mlp_bias", false);
  return config;
}

}  // namespace multimeditron
