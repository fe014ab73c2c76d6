#include "models/vision/clip_model.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/normal.h>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/weights.h"
#include "models/config_reader.h"
#include "models/tensors.h"

namespace multimeditron {
namespace {

at::Tensor unit(const at::Tensor& vectors) {
  return vectors / at::linalg_vector_norm(vectors, 2, at::IntArrayRef{-1}, true);
}

}  // namespace

ClipModel::ClipModel(const Json& config, const std::string& where)
    : vision_(ClipVisionConfig::from_json(config, where)),
      text_(ClipTextConfig::from_json(config, where)),
      visual_projection_(ConfigReader(config, where).integer("projection_dim", 512), vision_.config().hidden_size),
      text_projection_(ConfigReader(config, where).integer("projection_dim", 512), text_.config().hidden_size) {
  logit_scale_ = &register_parameter("logit_scale", {}, /*is_norm=*/true);  // not decayed, as CLIP's own training does
  register_module("text_model", text_);
  register_module("vision_model", vision_);
  register_module("visual_projection", visual_projection_);
  register_module("text_projection", text_projection_);
}

at::Tensor ClipModel::embed_images(const at::Tensor& pixel_values) const {
  return unit(at::linear(vision_.pooled(pixel_values), visual_projection_.weight->data).to(at::kFloat));
}

at::Tensor ClipModel::embed_texts(const at::Tensor& input_ids, const at::Tensor& ends) const {
  return unit(at::linear(text_.pooled(input_ids, ends), text_projection_.weight->data).to(at::kFloat));
}

void ClipModel::allocate(at::ScalarType dtype) {
  dtype_ = dtype;
  buckets_ = make_buckets("", "clip");
  for (const auto& bucket : buckets_) multimeditron::allocate(*bucket, at::kFloat);  // masters; the optimizer converts
}

void ClipModel::set_trained(at::ScalarType grad_dtype) {
  for (const auto& bucket : buckets_) multimeditron::set_trained(*bucket, true, grad_dtype);
}

void ClipModel::initialise(uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const double vision_width = static_cast<double>(vision_.config().hidden_size),
               text_width = static_cast<double>(text_.config().hidden_size);
  visit("", [&](const std::string& name, Parameter& parameter) {
    const bool is_text = name.starts_with("text_");
    const double width = is_text ? text_width : vision_width;
    const double layers = static_cast<double>(is_text ? text_.config().num_hidden_layers : vision_.config().num_hidden_layers);
    if (name == "logit_scale") {
      parameter.data.fill_(std::log(1 / 0.07));
    } else if (name.ends_with(".bias")) {
      parameter.data.zero_();
    } else if (parameter.is_norm) {
      parameter.data.fill_(1);
    } else {
      double deviation = 1 / std::sqrt(width);
      if (is_text && name.find("embedding.weight") != std::string::npos) deviation = 0.02;
      // Patches of unit variance and places of the same order: with places much smaller, a young tower does not learn where things are.
      if (name.ends_with("patch_embedding.weight")) deviation = 1 / std::sqrt(static_cast<double>(parameter.numel() / parameter.shape[0]));
      if (!is_text && name.ends_with("position_embedding.weight")) deviation = 0.3;
      if (name.find("fc1") != std::string::npos) deviation = 1 / std::sqrt(2 * width);
      const bool reads_the_stream = name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos ||
                                    name.find("v_proj") != std::string::npos || name.find("fc2") != std::string::npos;
      if (reads_the_stream) deviation = 1 / std::sqrt(width * 2 * layers);
      parameter.data.copy_(at::normal(0.0, deviation, parameter.shape, generator, at::kFloat));
    }
  });
}

void ClipModel::load(const std::filesystem::path& folder) {
  const WeightsReader reader(folder);
  std::vector<UserError> errors;
  visit("", [&](const std::string& name, Parameter& parameter) {
    const TensorView* view = reader.find(name);
    if (view == nullptr) {
      errors.emplace_back("a tensor is missing",
                          UserError::Details{.where = folder.string(), .found = "no " + name, .fix = "name a whole CLIPModel folder"});
    } else if (view->shape != parameter.shape) {
      errors.push_back(wrong_shape(reader.file_of(name), name, view->shape, parameter.shape));
    } else {
      parameter.data.copy_(to_tensor(*view));
    }
  });
  if (!errors.empty()) throw UserErrors(std::move(errors), kShownErrors);
}

void ClipModel::save(const std::filesystem::path& folder) const {
  std::vector<TensorSource> tensors;
  for (const auto& bucket : buckets_) {
    for (const Parameter* parameter : bucket->parameters) tensors.push_back(source_of(*parameter, parameter->name));
  }
  write_safetensors(folder, "model", std::move(tensors));
  Json json = config();
  json.erase("torch_dtype");
  json["dtype"] = dtype_ == at::kFloat ? "float32" : "bfloat16";
  write_file_atomic(folder / "config.json", json.dump(2) + "\n");
}

at::Tensor contrastive_loss(const at::Tensor& images, const at::Tensor& texts, const at::Tensor& scale) {
  const at::Tensor logits = at::matmul(images, texts.t()) * scale;
  const at::Tensor pairs = at::arange(images.size(0), at::kLong);
  return (at::cross_entropy_loss(logits, pairs) + at::cross_entropy_loss(logits.t(), pairs)) / 2;
}

}  // namespace multimeditron
