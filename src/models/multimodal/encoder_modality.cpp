#include "models/multimodal/encoder_modality.h"

#include <ATen/core/grad_mode.h>

#include <string_view>

namespace multimeditron {
namespace {

constexpr std::string_view kPrefix = "feature_extractor.";

/// Where the tower's tensors lie: "feature_extractor.vision_model".
std::string tower_path(const VisionConfig& config) {
  return std::string(kPrefix) + config.prefix + tower_name(config.kind);
}

}  // namespace

void EncoderModality::Passengers::add(const std::string& name, std::vector<int64_t> shape) {
  own_bucket();
  register_parameter(name, std::move(shape));
}

EncoderModality::EncoderModality(const ModalityConfig& config)
    : Modality(config), vision_(make_vision_tower(config.vision)), projector_(config.vision.hidden_size, config.spec.hidden_size) {
  register_module(tower_path(config.vision), *vision_);
  register_module("projector", projector_);
  register_module("feature_extractor", passengers_);
}

void EncoderModality::add_passenger(const std::string& name, std::vector<int64_t> shape) {
  const std::string own = tower_path(config().vision) + ".";
  if (!name.starts_with(kPrefix) || name.starts_with(own) || name.ends_with("position_ids")) return;
  passengers_.add(name.substr(kPrefix.size()), std::move(shape));
}

at::Tensor EncoderModality::features(const at::Tensor& pixel_values) const {
  const at::NoGradGuard no_grad;
  return vision_->forward(pixel_values);
}

at::Tensor EncoderModality::embed(const at::Tensor& pixel_values, std::optional<uint64_t>) {
  return projector_.forward(vision_->forward(pixel_values));
}

}  // namespace multimeditron
