#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/vision/clip_layer.h"

namespace multimeditron {

/// The text half of a Hugging Face CLIP `config.json` (an absent key means ViT-B/32's).
struct ClipTextConfig {
  int64_t vocab_size = 49408, hidden_size = 512, intermediate_size = 2048, num_hidden_layers = 12, num_attention_heads = 8;
  int64_t max_position_embeddings = 77, eos_token_id = 49407;
  double layer_norm_eps = 1e-5;
  std::string hidden_act = "quick_gelu";

  /// `json`: a CLIPModel's config. Throws UserError naming `where` and the key.
  static ClipTextConfig from_json(const Json& json, const std::string& where);

  /// Which token of a text stands for it: its first end-of-text token. Configs from before that id was right say 2; they mean the largest
  /// id.
  int64_t end_of(std::span<const int64_t> ids) const;
};

/// CLIP's text transformer under the names of transformers' `text_model`.
class ClipTextTower : public Module {
 public:
  explicit ClipTextTower(const ClipTextConfig& config);

  /// `input_ids`: [N, L] int64, what stands behind a text's end is never looked at; `ends`: [N] int64, the place of each text's end.
  /// Returns the end tokens after final_layer_norm: [N, hidden_size].
  at::Tensor pooled(const at::Tensor& input_ids, const at::Tensor& ends) const;
  const ClipTextConfig& config() const { return config_; }

 private:
  ClipTextConfig config_;
  Parameter *token_embedding_, *position_embedding_, *norm_weight_, *norm_bias_;
  std::vector<std::unique_ptr<ClipLayer>> layers_;
};

}  // namespace multimeditron
