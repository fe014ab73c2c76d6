#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"
#include "models/module.h"

namespace multimeditron {

/// The families of encoders: what their config.json looks like and how their tensors are called.
enum class VisionKind {
  kClip,     ///< transformers' CLIPModel or CLIPVisionModel
  kTimmVit,  ///< timm's VisionTransformer as open_clip's tower (BiomedCLIP), or its conversion to transformers' ViTModel
};

/// What the rest of the program needs to know of an encoder, whatever its kind.
struct VisionConfig {
  VisionKind kind = VisionKind::kClip;
  int64_t hidden_size = 0, intermediate_size = 0, image_size = 0, patch_size = 0;
  Json json;           ///< the encoder's own configuration; written back into checkpoints
  std::string prefix;  ///< what a wrapper puts in front of its tensors' names ("model."); from the file's names

  int64_t num_patches() const { return (image_size / patch_size) * (image_size / patch_size); }
  /// The same encoder for square images of another size: its position embeddings are interpolated. Throws UserError where no whole number
  /// of patches fits.
  VisionConfig for_image_size(int64_t size) const;
  /// Recognises the kind. Throws UserError naming `where` and the key.
  static VisionConfig from_json(const Json& json, const std::string& where);
};

/// A vision transformer that makes patch tokens of images.
class VisionTower : public Module {
 public:
  /// `pixel_values`: [N, 3, image_size, image_size] -> patch tokens without the class token: [N, num_patches, hidden_size]. Differentiable
  /// where its parameters are.
  virtual at::Tensor forward(const at::Tensor& pixel_values) const = 0;
};

std::unique_ptr<VisionTower> make_vision_tower(const VisionConfig& config);

/// The tower's place in the whole model that it comes from (a CLIPModel has a text tower too): "vision_model", "visual.trunk".
const char* tower_name(VisionKind kind);

}  // namespace multimeditron
