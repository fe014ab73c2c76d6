#include "models/config_reader.h"
#include "models/language/decoder_config.h"

namespace multimeditron {

/// Mistral (arXiv:2310.06825): Llama's decoder; the first version sees a window of 4096 positions (a config without the key has it too).
DecoderConfig mistral_config(const Json& json, const ConfigReader& reader) {
  DecoderConfig config = read_llama_family(json, reader);
  const bool unlimited = json.contains("sliding_window") && json.at("sliding_window").is_null();
  if (!unlimited) config.layer_windows.assign(static_cast<size_t>(config.num_hidden_layers), reader.integer("sliding_window", 4096));
  return config;
}

}  // namespace multimeditron
