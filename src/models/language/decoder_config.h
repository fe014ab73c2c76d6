#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace multimeditron {

class ConfigReader;

/// Scaling of rotary frequencies for long contexts (`rope_type: llama3`).
struct Llama3RopeScaling {
  double factor = 8, low_freq_factor = 1, high_freq_factor = 4, original_max_position_embeddings = 8192;
};

enum class Activation {
  kSwiGlu,  ///< down(silu(gate(x)) * up(x))
  kXielu,   ///< down(xielu(up(x))), with two trained and two fixed numbers a layer
};

/// What tells one decoder from another; names as in config.json.
struct DecoderConfig {
  std::string model_type;
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  double rms_norm_eps = 1e-6, rope_theta = 10000, initializer_range = 0.02;
  std::optional<Llama3RopeScaling> rope_scaling;
  Activation activation = Activation::kSwiGlu;
  bool qk_norm = false;                            ///< RMS norm of each head's q and k before the rotation
  bool qkv_bias = false, o_bias = false;           ///< biases of q_proj, k_proj, v_proj; of o_proj
  bool mlp_bias = false;                           ///< biases of all layers of the MLP
  std::string attention_norm = "input_layernorm";  ///< names of a block's two norms
  std::string mlp_norm = "post_attention_layernorm";
  std::vector<int64_t> layer_windows;  ///< how many keys a position sees in each layer, its own included; 0: all. Empty: all everywhere
  /// transformers gives the embedding of this token no gradient (`padding_idx`), also where the token stands in a text.
  std::optional<int64_t> pad_token_id;
  bool tie_word_embeddings = false;  ///< the head multiplies by embed_tokens.weight
  Json json;                         ///< as read; written back with the vocabulary that the model ends up with
};

/// Chooses the architecture by `model_type` and reads its config.json. `where`: the file, for messages.
/// Throws UserError: an unknown architecture (names the known ones), a missing key, a feature that is not supported (another activation or
/// rope type, quantised weights).
DecoderConfig read_decoder_config(const Json& json, const std::string& where);

/// What all decoders of the Llama family read in the same way. `config`: what the architecture is and its defaults.
DecoderConfig read_llama_family(const Json& json, const ConfigReader& reader, DecoderConfig config = {});

/// `layer_windows` of Qwen2 and Qwen3: `use_sliding_window`, from layer `max_window_layers` on or as `layer_types` says.
std::vector<int64_t> read_layer_windows(const DecoderConfig& config, const ConfigReader& reader);

/// Throws UserError: the model needs what the decoder does not compute.
[[noreturn]] void refuse_feature(const ConfigReader& reader, const std::string& key, const std::string& found,
                                 const std::string& supported);

// One small file an architecture.
DecoderConfig apertus_config(const Json& json, const ConfigReader& reader);
DecoderConfig llama_config(const Json& json, const ConfigReader& reader);
DecoderConfig mistral_config(const Json& json, const ConfigReader& reader);
DecoderConfig qwen2_config(const Json& json, const ConfigReader& reader);
DecoderConfig qwen3_config(const Json& json, const ConfigReader& reader);

}  // namespace multimeditron
