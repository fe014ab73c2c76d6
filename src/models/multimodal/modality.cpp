#include "models/multimodal/modality.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/normal.h>

namespace multimeditron {

Projector::Projector(int64_t input_size, int64_t hidden_size) {
  own_bucket();
  const int64_t out[3] = {input_size, hidden_size, hidden_size}, in[3] = {input_size, input_size, hidden_size};
  for (int i = 0; i < 3; ++i) {
    const std::string name = "projection." + std::to_string(2 * i);
    weights_[i] = &register_parameter(name + ".weight", {out[i], in[i]});
    biases_[i] = &register_parameter(name + ".bias", {out[i]});
  }
}

at::Tensor Projector::forward(const at::Tensor& features) const {
  at::Tensor x = at::gelu(at::linear(features, weights_[0]->data, biases_[0]->data));
  x = at::gelu(at::linear(x, weights_[1]->data, biases_[1]->data));
  return at::linear(x, weights_[2]->data, biases_[2]->data);
}

void Projector::initialise(uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (int i = 0; i < 3; ++i) {
    // Drawn in float32 whatever the dtype: the same seed gives the same projector in fp32 and, rounded, in bf16.
    weights_[i]->data.copy_(at::normal(0.0, 0.02, weights_[i]->shape, generator, at::kFloat));
    biases_[i]->data.zero_();
  }
}

void ClipModality::Passengers::add(const std::string& name, std::vector<int64_t> shape) {
  own_bucket();
  register_parameter(name, std::move(shape));
}

ClipModality::ClipModality(const ModalityConfig& config)
    : config_(config),
      vision_(std::make_unique<ClipVisionTower>(config.clip)),
      projector_(config.clip.hidden_size, config.spec.hidden_size) {
  register_module("feature_extractor.vision_model", *vision_);
  register_module("projector", projector_);
  register_module("feature_extractor", passengers_);
}

void ClipModality::add_passenger(const std::string& name, std::vector<int64_t> shape) {
  passengers_.add(name, std::move(shape));
}

at::Tensor ClipModality::features(const at::Tensor& pixel_values) const {
  const at::NoGradGuard no_grad;
  return vision_->forward(pixel_values);
}

at::Tensor ClipModality::forward(const at::Tensor& pixel_values, Saved* saved) {
  if (saved == nullptr) {
    const at::NoGradGuard no_grad;
    return projector_.forward(vision_->forward(pixel_values));
  }
  saved->leaves = GraphLeaves(*this);
  const GraphLeaves::Scope scope(saved->leaves);
  bool vision_trained = false;
  vision_->visit("", [&](const std::string&, Parameter& parameter) { vision_trained = vision_trained || parameter.is_trained; });
  at::Tensor features;
  {
    const at::AutoGradMode mode(vision_trained);
    features = vision_->forward(pixel_values);
  }
  const at::AutoGradMode mode(true);
  saved->output = projector_.forward(features);
  return saved->output.detach();
}

void ClipModality::backward(const at::Tensor& grad, Saved& saved) {
  saved.leaves.backward({saved.output}, {grad});
  saved = {};
}

}  // namespace multimeditron
