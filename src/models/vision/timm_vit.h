#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/module.h"
#include "models/vision/tower.h"

namespace multimeditron {

/// Sizes of a timm VisionTransformer of the plain kind: class token, learnt positions, exact GELU, norm at the end, no norm in front.
struct TimmVitConfig {
  int64_t hidden_size = 768, intermediate_size = 3072, num_hidden_layers = 12, num_attention_heads = 12;
  int64_t image_size = 224, patch_size = 16;
  int64_t position_image_size = 224;  ///< what the position embeddings were trained for; another `image_size` interpolates them
  double layer_norm_eps = 1e-6;

  int64_t num_positions() const { return 1 + (position_image_size / patch_size) * (position_image_size / patch_size); }

  /// True for a config.json that from_json reads.
  static bool recognises(const Json& json);
  /// `json`: what to_json writes; or transformers' ViTModel ("vit"), or VisionTextDualEncoderModel with one inside: what BiomedCLIP is
  /// converted to. Throws UserError naming `where` and the key.
  static TimmVitConfig from_json(const Json& json, const std::string& where);
  /// transformers' words for the sizes, with the model_type `timm_vit`.
  Json to_json() const;

  /// Shape of a tensor as below `visual.trunk.`, or null.
  using ShapeOf = std::function<const std::vector<int64_t>*(const std::string& name)>;
  /// `vision_cfg` of open_clip_config.json, which names a model of timm's, and `wrapper`, the `vision_cfg` of a config.json beside it
  /// (image_size, patch_size, width); either may be null. Where there are tensors their shapes count. What no shape tells, the number of
  /// heads, is the named model's, else one for each 64 channels, unless one of the two says `heads`. Throws UserError.
  static TimmVitConfig from_open_clip(const Json& vision_cfg, const Json& wrapper, const ShapeOf& shape_of, const std::string& where);
};

/// timm's VisionTransformer (arXiv:2010.11929), open_clip's `visual.trunk`, under timm's names.
class TimmVitTower : public VisionTower {
 public:
  explicit TimmVitTower(const TimmVitConfig& config);
  /// The last block's patch tokens after the norm.
  at::Tensor forward(const at::Tensor& pixel_values) const override;

 private:
  struct Block : Module {
    explicit Block(const TimmVitConfig& config);
    /// [N, tokens, hidden_size] -> the same shape
    at::Tensor forward(const at::Tensor& x) const;

    int64_t heads;
    double eps;
    Parameter *norm1_weight, *norm1_bias, *norm2_weight, *norm2_bias;
    Parameter *qkv_weight, *qkv_bias;  // [3 * hidden_size, hidden_size]: q, k, v
    Parameter *proj_weight, *proj_bias, *fc1_weight, *fc1_bias, *fc2_weight, *fc2_bias;
  };

  TimmVitConfig config_;
  Parameter *cls_token_, *pos_embed_, *patch_weight_, *patch_bias_, *norm_weight_, *norm_bias_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

/// The open_clip name of a tensor of transformers' ViTModel or VisionTextDualEncoderModel, old spelling or new; q, k and v of a block are
/// thirds of one tensor ("visual.trunk.blocks.0.attn.qkv.weight@1/3", see WeightFile). Empty for what has no place there.
std::string open_clip_tensor_name(const std::string& name);

}  // namespace multimeditron
