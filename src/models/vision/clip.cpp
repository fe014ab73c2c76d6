#include "models/vision/clip.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <fmt/format.h>

#include "base/error.h"
#include "models/config_reader.h"
#include "models/vision/attend.h"

namespace multimeditron {

ClipVisionConfig ClipVisionConfig::from_json(const Json& json, const std::string& where) {
  ClipVisionConfig config;
  config.json = json;
  const ConfigReader whole(json, where);
  const std::string model_type = whole.string("model_type", "clip");
  if (model_type != "clip" && model_type != "clip_vision_model") {
    throw UserError("this is not a CLIP model",
                    {.where = where + ", key model_type", .found = model_type, .fix = "name a CLIP folder in `clip_name`"});
  }
  const ConfigReader reader(model_type == "clip" ? whole.object("vision_config") : json,
                            model_type == "clip" ? where + ", vision_config" : where);
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers);
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  config.image_size = reader.integer("image_size", config.image_size);
  config.position_image_size = config.image_size;
  config.patch_size = reader.integer("patch_size", config.patch_size);
  config.num_channels = reader.integer("num_channels", config.num_channels);
  config.layer_norm_eps = reader.number("layer_norm_eps", config.layer_norm_eps);
  config.hidden_act = reader.string("hidden_act", config.hidden_act);
  const auto refuse = [&](const char* key, const std::string& found) {
    throw UserError("this vision tower is not supported",
                    {.where = fmt::format("{}, key {}", reader.where(), key), .found = found, .fix = "name another encoder"});
  };
  if (config.hidden_act != "quick_gelu" && config.hidden_act != "gelu")
    refuse("hidden_act", config.hidden_act + "; known: quick_gelu, gelu");
  if (config.hidden_size % config.num_attention_heads != 0) refuse("num_attention_heads", "hidden_size is not a multiple of it");
  if (config.num_channels != 3) refuse("num_channels", std::to_string(config.num_channels) + " where 3 was expected");
  if (config.image_size % config.patch_size != 0) refuse("image_size", "not a multiple of patch_size");
  return config;
}

ClipVisionTower::PostNorm::PostNorm(const ClipVisionConfig& config) {
  own_bucket();
  weight = &register_parameter("weight", {config.hidden_size}, true);
  bias = &register_parameter("bias", {config.hidden_size}, true);
}

ClipVisionTower::ClipVisionTower(const ClipVisionConfig& config) : config_(config), post_layernorm_(config) {
  own_bucket();
  const int64_t dim = config.hidden_size;
  class_embedding_ = &register_parameter("embeddings.class_embedding", {dim});
  patch_embedding_ =
      &register_parameter("embeddings.patch_embedding.weight", {dim, config.num_channels, config.patch_size, config.patch_size});
  position_embedding_ = &register_parameter("embeddings.position_embedding.weight", {config.num_positions(), dim});
  pre_norm_weight_ = &register_parameter("pre_layrnorm.weight", {dim}, true);  // the checkpoint's spelling
  pre_norm_bias_ = &register_parameter("pre_layrnorm.bias", {dim}, true);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<ClipLayer>(
        ClipLayerConfig{dim, config.intermediate_size, config.num_attention_heads, config.layer_norm_eps, config.hidden_act}));
    register_module("encoder.layers." + std::to_string(i), *layers_.back());
  }
  register_module("post_layernorm", post_layernorm_);
}

at::Tensor ClipVisionTower::hidden_states(const at::Tensor& pixel_values) const {
  const int64_t images = pixel_values.size(0), dim = config_.hidden_size, side = config_.image_size / config_.patch_size;
  const at::Tensor patches = patches_of(pixel_values.to(patch_embedding_->data.scalar_type()), config_.patch_size);
  at::Tensor x = at::linear(patches, patch_embedding_->data.view({dim, -1}));  // [N, P, D]
  x = at::cat({class_embedding_->data.expand({images, 1, dim}), x}, 1);        // [N, 1 + P, D]
  x = x + interpolate_positions(position_embedding_->data, side);
  x = at::layer_norm(x, {dim}, pre_norm_weight_->data, pre_norm_bias_->data, config_.layer_norm_eps);
  for (const auto& layer : layers_) x = layer->forward(x, false);
  return x;
}

at::Tensor ClipVisionTower::forward(const at::Tensor& pixel_values) const {
  return hidden_states(pixel_values).narrow(1, 1, config_.num_patches());
}

at::Tensor ClipVisionTower::pooled(const at::Tensor& pixel_values) const {
  return at::layer_norm(hidden_states(pixel_values).select(1, 0), {config_.hidden_size}, post_layernorm_.weight->data,
                        post_layernorm_.bias->data, config_.layer_norm_eps);
}

}  // namespace multimeditron
