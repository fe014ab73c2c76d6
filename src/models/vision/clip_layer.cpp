#include "models/vision/clip_layer.h"

#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>

#include "models/layers/gelu.h"
#include "models/vision/attend.h"

namespace multimeditron {

ClipLayer::ClipLayer(const ClipLayerConfig& config) : config_(config) {
  const int64_t dim = config.hidden_size, inner = config.intermediate_size;
  const auto linear = [&](const std::string& name, int64_t out, int64_t in, Parameter*& weight, Parameter*& bias) {
    weight = &register_parameter(name + ".weight", {out, in});
    bias = &register_parameter(name + ".bias", {out});
  };
  linear("self_attn.k_proj", dim, dim, k_weight_, k_bias_);
  linear("self_attn.v_proj", dim, dim, v_weight_, v_bias_);
  linear("self_attn.q_proj", dim, dim, q_weight_, q_bias_);
  linear("self_attn.out_proj", dim, dim, out_weight_, out_bias_);
  norm1_weight_ = &register_parameter("layer_norm1.weight", {dim}, true);
  norm1_bias_ = &register_parameter("layer_norm1.bias", {dim}, true);
  linear("mlp.fc1", inner, dim, fc1_weight_, fc1_bias_);
  linear("mlp.fc2", dim, inner, fc2_weight_, fc2_bias_);
  norm2_weight_ = &register_parameter("layer_norm2.weight", {dim}, true);
  norm2_bias_ = &register_parameter("layer_norm2.bias", {dim}, true);
}

at::Tensor ClipLayer::forward(const at::Tensor& x, bool causal) const {
  const int64_t images = x.size(0), tokens = x.size(1), dim = config_.hidden_size, heads = config_.num_attention_heads;
  const at::Tensor n = at::layer_norm(x, {dim}, norm1_weight_->data, norm1_bias_->data, config_.layer_norm_eps);
  const auto project = [&](const Parameter* weight, const Parameter* bias) {
    return at::linear(n, weight->data, bias->data).view({images, tokens, heads, dim / heads}).transpose(1, 2);
  };
  const at::Tensor attention = attend(project(q_weight_, q_bias_), project(k_weight_, k_bias_), project(v_weight_, v_bias_), causal);
  const at::Tensor mixed =
      add_residual(x, at::linear(attention.transpose(1, 2).reshape({images, tokens, dim}), out_weight_->data, out_bias_->data));
  const at::Tensor inner = at::linear(at::layer_norm(mixed, {dim}, norm2_weight_->data, norm2_bias_->data, config_.layer_norm_eps),
                                      fc1_weight_->data, fc1_bias_->data);
  return add_residual(mixed, at::linear(gelu(inner, config_.hidden_act == "quick_gelu"), fc2_weight_->data, fc2_bias_->data));
}

}  // namespace multimeditron
