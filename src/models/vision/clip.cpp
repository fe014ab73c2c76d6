#include "models/vision/clip.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/sigmoid.h>
#include <fmt/format.h>

#include "base/error.h"
#include "models/config_reader.h"

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
  config.patch_size = reader.integer("patch_size", config.patch_size);
  config.num_channels = reader.integer("num_channels", config.num_channels);
  config.layer_norm_eps = reader.number("layer_norm_eps", config.layer_norm_eps);
  config.hidden_act = reader.string("hidden_act", config.hidden_act);
  const auto refuse = [&](const char* key, const std::string& found) {
    throw UserError("this vision tower is not supported", {.where = fmt::format("{}, key {}", reader.where(), key), .found = found});
  };
  if (config.hidden_act != "quick_gelu" && config.hidden_act != "gelu")
    refuse("hidden_act", config.hidden_act + "; known: quick_gelu, gelu");
  if (config.hidden_size % config.num_attention_heads != 0) refuse("num_attention_heads", "hidden_size is not a multiple of it");
  if (config.num_channels != 3) refuse("num_channels", std::to_string(config.num_channels) + " where 3 was expected");
  if (config.image_size % config.patch_size != 0) refuse("image_size", "not a multiple of patch_size");
  return config;
}

ClipVisionTower::Layer::Layer(const ClipVisionConfig& config) {
  const int64_t dim = config.hidden_size, inner = config.intermediate_size;
  const auto linear = [&](const std::string& name, int64_t out, int64_t in, Parameter*& weight, Parameter*& bias) {
    weight = &register_parameter(name + ".weight", {out, in});
    bias = &register_parameter(name + ".bias", {out});
  };
  linear("self_attn.k_proj", dim, dim, k_weight, k_bias);
  linear("self_attn.v_proj", dim, dim, v_weight, v_bias);
  linear("self_attn.q_proj", dim, dim, q_weight, q_bias);
  linear("self_attn.out_proj", dim, dim, out_weight, out_bias);
  norm1_weight = &register_parameter("layer_norm1.weight", {dim}, true);
  norm1_bias = &register_parameter("layer_norm1.bias", {dim}, true);
  linear("mlp.fc1", inner, dim, fc1_weight, fc1_bias);
  linear("mlp.fc2", dim, inner, fc2_weight, fc2_bias);
  norm2_weight = &register_parameter("layer_norm2.weight", {dim}, true);
  norm2_bias = &register_parameter("layer_norm2.bias", {dim}, true);
}

ClipVisionTower::Unused::Unused(const ClipVisionConfig& config) {
  own_bucket();
  register_parameter("weight", {config.hidden_size}, true);
  register_parameter("bias", {config.hidden_size}, true);
}

ClipVisionTower::ClipVisionTower(const ClipVisionConfig& config) : config_(config), post_layernorm_(config) {
  own_bucket();
  const int64_t dim = config.hidden_size;
  class_embedding_ = &register_parameter("embeddings.class_embedding", {dim});
  patch_embedding_ =
      &register_parameter("embeddings.patch_embedding.weight", {dim, config.num_channels, config.patch_size, config.patch_size});
  position_embedding_ = &register_parameter("embeddings.position_embedding.weight", {config.num_patches() + 1, dim});
  pre_norm_weight_ = &register_parameter("pre_layrnorm.weight", {dim}, true);  // the checkpoint's spelling
  pre_norm_bias_ = &register_parameter("pre_layrnorm.bias", {dim}, true);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<Layer>(config));
    register_module("encoder.layers." + std::to_string(i), *layers_.back());
  }
  register_module("post_layernorm", post_layernorm_);
}

at::Tensor ClipVisionTower::forward(const at::Tensor& pixel_values) const {
  const int64_t images = pixel_values.size(0), dim = config_.hidden_size, patch = config_.patch_size, side = config_.image_size / patch;
  const int64_t heads = config_.num_attention_heads, head_dim = dim / heads, tokens = side * side + 1;
  const auto norm = [&](const at::Tensor& x, const Parameter* weight, const Parameter* bias) {
    return at::layer_norm(x, {dim}, weight->data, bias->data, config_.layer_norm_eps);
  };
  // The patch convolution has stride = kernel, so it is a linear layer over the patches' pixels.
  const at::Tensor patches = pixel_values.to(patch_embedding_->data.scalar_type())
                                 .view({images, 3, side, patch, side, patch})
                                 .permute({0, 2, 4, 1, 3, 5})
                                 .reshape({images, side * side, -1});
  at::Tensor x = at::linear(patches, patch_embedding_->data.view({dim, -1}));                        // [N, P, D]
  x = at::cat({class_embedding_->data.expand({images, 1, dim}), x}, 1) + position_embedding_->data;  // [N, 1 + P, D]
  x = norm(x, pre_norm_weight_, pre_norm_bias_);
  for (const auto& layer : layers_) {
    const at::Tensor n = norm(x, layer->norm1_weight, layer->norm1_bias);
    const auto project = [&](const Parameter* weight, const Parameter* bias) {
      return at::linear(n, weight->data, bias->data).view({images, tokens, heads, head_dim}).transpose(1, 2);
    };
    const at::Tensor attention = at::scaled_dot_product_attention(
        project(layer->q_weight, layer->q_bias), project(layer->k_weight, layer->k_bias), project(layer->v_weight, layer->v_bias));
    x = x + at::linear(attention.transpose(1, 2).reshape({images, tokens, dim}), layer->out_weight->data, layer->out_bias->data);
    const at::Tensor inner = at::linear(norm(x, layer->norm2_weight, layer->norm2_bias), layer->fc1_weight->data, layer->fc1_bias->data);
    const at::Tensor active = config_.hidden_act == "gelu" ? at::gelu(inner) : inner * at::sigmoid(inner * 1.702);
    x = x + at::linear(active, layer->fc2_weight->data, layer->fc2_bias->data);
  }
  return x.narrow(1, 1, tokens - 1);
}

}  // namespace multimeditron
