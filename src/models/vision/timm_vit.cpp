#include "models/vision/timm_vit.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>

#include "models/layers/gelu.h"
#include "models/vision/attend.h"

namespace multimeditron {

TimmVitTower::Block::Block(const TimmVitConfig& config) : heads(config.num_attention_heads), eps(config.layer_norm_eps) {
  const int64_t dim = config.hidden_size, inner = config.intermediate_size;
  const auto pair = [&](const std::string& name, std::vector<int64_t> shape, Parameter*& weight, Parameter*& bias) {
    const bool is_norm = shape.size() == 1;
    weight = &register_parameter(name + ".weight", shape, is_norm);
    bias = &register_parameter(name + ".bias", {shape[0]}, is_norm);
  };
  pair("norm1", {dim}, norm1_weight, norm1_bias);
  pair("attn.qkv", {3 * dim, dim}, qkv_weight, qkv_bias);
  pair("attn.proj", {dim, dim}, proj_weight, proj_bias);
  pair("norm2", {dim}, norm2_weight, norm2_bias);
  pair("mlp.fc1", {inner, dim}, fc1_weight, fc1_bias);
  pair("mlp.fc2", {dim, inner}, fc2_weight, fc2_bias);
}

at::Tensor TimmVitTower::Block::forward(const at::Tensor& x) const {
  const int64_t images = x.size(0), tokens = x.size(1), dim = x.size(2);
  const at::Tensor n = at::layer_norm(x, {dim}, norm1_weight->data, norm1_bias->data, eps);
  const at::Tensor qkv = at::linear(n, qkv_weight->data, qkv_bias->data)
                             .view({images, tokens, 3, heads, dim / heads})
                             .permute({2, 0, 3, 1, 4});  // [3, N, heads, tokens, head_dim]
  const at::Tensor attention = attend(qkv.select(0, 0), qkv.select(0, 1), qkv.select(0, 2), false);
  const at::Tensor mixed =
      add_residual(x, at::linear(attention.transpose(1, 2).reshape({images, tokens, dim}), proj_weight->data, proj_bias->data));
  const at::Tensor inner =
      at::linear(at::layer_norm(mixed, {dim}, norm2_weight->data, norm2_bias->data, eps), fc1_weight->data, fc1_bias->data);
  return add_residual(mixed, at::linear(gelu(inner, false), fc2_weight->data, fc2_bias->data));
}

TimmVitTower::TimmVitTower(const TimmVitConfig& config) : config_(config) {
  own_bucket();
  const int64_t dim = config.hidden_size;
  cls_token_ = &register_parameter("cls_token", {1, 1, dim});
  pos_embed_ = &register_parameter("pos_embed", {1, config.num_positions(), dim});
  patch_weight_ = &register_parameter("patch_embed.proj.weight", {dim, 3, config.patch_size, config.patch_size});
  patch_bias_ = &register_parameter("patch_embed.proj.bias", {dim});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    blocks_.push_back(std::make_unique<Block>(config));
    register_module("blocks." + std::to_string(i), *blocks_.back());
  }
  norm_weight_ = &register_parameter("norm.weight", {dim}, true);
  norm_bias_ = &register_parameter("norm.bias", {dim}, true);
}

at::Tensor TimmVitTower::forward(const at::Tensor& pixel_values) const {
  const int64_t images = pixel_values.size(0), dim = config_.hidden_size, side = config_.image_size / config_.patch_size;
  const at::Tensor patches = patches_of(pixel_values.to(patch_weight_->data.scalar_type()), config_.patch_size);
  at::Tensor x = at::linear(patches, patch_weight_->data.view({dim, -1}), patch_bias_->data);  // [N, P, D]
  x = at::cat({cls_token_->data.expand({images, 1, dim}), x}, 1);                              // [N, 1 + P, D]
  x = x + interpolate_positions(pos_embed_->data.view({-1, dim}), side);
  for (const auto& block : blocks_) x = block->forward(x);
  return at::layer_norm(x.narrow(1, 1, side * side), {dim}, norm_weight_->data, norm_bias_->data, config_.layer_norm_eps);
}

}  // namespace multimeditron
