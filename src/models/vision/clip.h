#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/module.h"
#include "models/vision/clip_layer.h"
#include "models/vision/tower.h"

namespace multimeditron {

/// The vision half of a Hugging Face CLIP `config.json` (an absent key means ViT-B/32).
struct ClipVisionConfig {
  int64_t hidden_size = 768, intermediate_size = 3072, num_hidden_layers = 12, num_attention_heads = 12;
  int64_t image_size = 224, patch_size = 32, num_channels = 3;
  int64_t position_image_size = 224;  ///< what the position embeddings were trained for; another `image_size` interpolates them
  double layer_norm_eps = 1e-5;
  std::string hidden_act = "quick_gelu";  ///< quick_gelu (OpenAI's), gelu (LAION's)
  Json json;                              ///< the whole config.json as read

  int64_t num_patches() const { return (image_size / patch_size) * (image_size / patch_size); }
  /// Rows of the position embeddings: the class token's and those of the patches.
  int64_t num_positions() const { return 1 + (position_image_size / patch_size) * (position_image_size / patch_size); }
  /// `json`: a CLIPModel's or a CLIPVisionModel's config. Throws UserError naming `where` and the key.
  static ClipVisionConfig from_json(const Json& json, const std::string& where);
};

/// CLIP's ViT (arXiv:2103.00020) under the names of transformers' `vision_model`.
class ClipVisionTower : public VisionTower {
 public:
  explicit ClipVisionTower(const ClipVisionConfig& config);

  /// The last layer's patch tokens, before post_layernorm.
  at::Tensor forward(const at::Tensor& pixel_values) const override;
  /// The class token after post_layernorm: [N, hidden_size], what CLIP's own training compares with the text.
  at::Tensor pooled(const at::Tensor& pixel_values) const;
  const ClipVisionConfig& config() const { return config_; }

 private:
  /// A bucket of its own: with frozen or projected features it is loaded and saved, but never computed with.
  struct PostNorm : Module {
    explicit PostNorm(const ClipVisionConfig& config);
    Parameter *weight, *bias;
  };
  /// [N, 1 + num_patches, hidden_size]
  at::Tensor hidden_states(const at::Tensor& pixel_values) const;

  ClipVisionConfig config_;
  Parameter *class_embedding_, *patch_embedding_, *position_embedding_, *pre_norm_weight_, *pre_norm_bias_;
  std::vector<std::unique_ptr<ClipLayer>> layers_;
  PostNorm post_layernorm_;
};

}  // namespace multimeditron
