#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace multimeditron {

class ConfigReader;

/// Scaling of rotary frequencies for long contexts (`rope_type: llama3`).
struct Llama3RopeScaling {
  double factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 8192;
};

/// What tells one decoder from another; names as in config.json.
struct DecoderConfig {
  std::string model_type;
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  double rms_norm_eps = 1e-6, rope_theta = 10000, initializer_range = 0.02;
  std::optional<Llama3RopeScaling> rope_scaling;
  bool qk_norm = false;              ///< RMS norm of each head's q and k before the rotation
  bool tie_word_embeddings = false;  ///< the head multiplies by embed_tokens.weight
  Json json;                         ///< as read; written back with the vocabulary that the model ends up with
};

/// Chooses the architecture by `model_type` and reads its config.json. `where`: the file, for messages.
/// Throws UserError: an unknown architecture (names the known ones), a missing key, a feature that is not supported (sliding window,
/// biases).
DecoderConfig read_decoder_config(const Json& json, const std::string& where);

/// What all decoders of the Llama family read in the same way.
DecoderConfig read_llama_family(const Json& json, const ConfigReader& reader);

// One small file an architecture.
DecoderConfig qwen3_config(const Json& json, const ConfigReader& reader);
DecoderConfig llama_config(const Json& json, const ConfigReader& reader);

}  // namespace multimeditron
