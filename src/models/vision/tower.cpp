#include "models/vision/tower.h"

#include <fmt/format.h>

#include "base/error.h"
#include "models/vision/clip.h"
#include "models/vision/timm_vit.h"

namespace multimeditron {

VisionConfig VisionConfig::from_json(const Json& json, const std::string& where) {
  const auto described = [&](VisionKind kind, const auto& config) {
    return VisionConfig{.kind = kind,
                        .hidden_size = config.hidden_size,
                        .intermediate_size = config.intermediate_size,
                        .image_size = config.image_size,
                        .patch_size = config.patch_size,
                        .json = json,
                        .prefix = ""};
  };
  if (TimmVitConfig::recognises(json)) return described(VisionKind::kTimmVit, TimmVitConfig::from_json(json, where));
  return described(VisionKind::kClip, ClipVisionConfig::from_json(json, where));
}

VisionConfig VisionConfig::for_image_size(int64_t size) const {
  if (size % patch_size != 0) {
    throw UserError("the encoder cannot take images of this size",
                    {.found = fmt::format("image_size {}, patches of {} pixels", size, patch_size),
                     .fix = fmt::format("take a multiple of {}: {} or {}", patch_size, std::max(size / patch_size, int64_t{1}) * patch_size,
                                        (size / patch_size + 1) * patch_size)});
  }
  VisionConfig config = *this;
  config.image_size = size;
  return config;
}

std::unique_ptr<VisionTower> make_vision_tower(const VisionConfig& config) {
  if (config.kind == VisionKind::kTimmVit) {
    TimmVitConfig vit = TimmVitConfig::from_json(config.json, "config.json");
    vit.image_size = config.image_size;
    return std::make_unique<TimmVitTower>(vit);
  }
  ClipVisionConfig clip = ClipVisionConfig::from_json(config.json, "config.json");
  clip.image_size = config.image_size;
  return std::make_unique<ClipVisionTower>(clip);
}

const char* tower_name(VisionKind kind) {
  return kind == VisionKind::kTimmVit ? "visual.trunk" : "vision_model";
}

}  // namespace multimeditron
