#include "models/vision/tower.h"

#include "models/vision/clip.h"

namespace multimeditron {

VisionConfig VisionConfig::from_json(const Json& json, const std::string& where) {
  const ClipVisionConfig clip = ClipVisionConfig::from_json(json, where);
  return {.kind = VisionKind::kClip,
          .hidden_size = clip.hidden_size,
          .intermediate_size = clip.intermediate_size,
          .image_size = clip.image_size,
          .patch_size = clip.patch_size,
          .json = json};
}

std::unique_ptr<VisionTower> make_vision_tower(const VisionConfig& config) {
  return std::make_unique<ClipVisionTower>(ClipVisionConfig::from_json(config.json, "config.json"));
}

const char* tower_name(VisionKind) {
  return "vision_model";
}

}  // namespace multimeditron
