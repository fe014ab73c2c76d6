#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/module.h"

namespace multimeditron {

/// The vision half of a Hugging Face CLIP `config.json` (an absent key means ViT-B/32).
struct ClipVisionConfig {
  int64_t hidden_size = 768, intermediate_size = 3072, num_hidden_layers = 12, num_attention_heads = 12;
  int64_t image_size = 224, patch_size = 32, num_channels = 3;
  double layer_norm_eps = 1e-5;
  std::string hidden_act = "quick_gelu";  ///< quick_gelu (OpenAI's), gelu (LAION's)
  Json json;                              ///< the whole config.json as read

  int64_t num_patches() const { return (image_size / patch_size) * (image_size / patch_size); }
  /// `json`: a CLIPModel's or a CLIPVisionModel's config. Throws UserError naming `where` and the key.
  static ClipVisionConfig from_json(const Json& json, const std::string& where);
};

/// CLIP's ViT (arXiv:2103.00020) under the names of transformers' `vision_model`.
class ClipVisionTower : public Module {
 public:
  explicit ClipVisionTower(const ClipVisionConfig& config);

  /// `pixel_values`: [N, 3, image_size, image_size] -> the last layer's patch tokens before post_layernorm, without the class token:
  /// [N, num_patches, hidden_size]. A plain composition of ATen operations: differentiable where its parameters are.
  at::Tensor forward(const at::Tensor& pixel_values) const;
  const ClipVisionConfig& config() const { return config_; }

 private:
  struct Layer : Module {
    explicit Layer(const ClipVisionConfig& config);
    Parameter *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias;
    Parameter *q_weight, *q_bias, *k_weight, *k_bias, *v_weight, *v_bias, *out_weight, *out_bias;
    Parameter *fc1_weight, *fc1_bias, *fc2_weight, *fc2_bias;
  };
  /// Loaded and saved, never computed with: the features are taken before it.
  struct Unused : Module {
    explicit Unused(const ClipVisionConfig& config);
  };

  ClipVisionConfig config_;
  Parameter *class_embedding_, *patch_embedding_, *position_embedding_, *pre_norm_weight_, *pre_norm_bias_;
  std::vector<std::unique_ptr<Layer>> layers_;
  Unused post_layernorm_;
};

}  // namespace multimeditron
