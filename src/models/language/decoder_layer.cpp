#include "models/language/decoder_layer.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "models/layers/cpu_types.h"
#include "models/layers/rms_norm.h"
#include "models/layers/swiglu.h"
#include "models/layers/xielu.h"

namespace multimeditron {
namespace {

/// The gradient of a norm's weight, computed in float32, into the bucket.
void accumulate(const at::Tensor& grad, const at::Tensor& value, bool overwrite) {
  if (overwrite) {
    grad.copy_(value);
  } else {
    grad.add_(value);
  }
}

/// Neighbouring parameters in a bucket's flat data or gradient.
at::Tensor span(const Parameter& first, const Parameter& last, const at::Tensor& flat) {
  const int64_t start = first.data.storage_offset(), end = last.data.storage_offset() + last.numel();
  return flat.narrow(0, start, end - start);
}

at::Tensor weight_of(const Parameter* parameter) {
  return parameter == nullptr ? at::Tensor() : parameter->data;
}

}  // namespace

DecoderLayer::DecoderLayer(const DecoderConfig& config, int64_t index)
    : config_(config),
      attention_({.num_heads = config.num_attention_heads, .num_kv_heads = config.num_key_value_heads, .head_dim = config.head_dim},
                 config.rms_norm_eps, config.layer_windows.empty() ? 0 : config.layer_windows.at(static_cast<size_t>(index))) {
  const int64_t hidden = config.hidden_size, intermediate = config.intermediate_size, q_rows = config.num_attention_heads * config.head_dim,
                kv_rows = config.num_key_value_heads * config.head_dim;
  own_bucket();
  qkv_proj_ = register_linear({{"self_attn.q_proj", q_rows}, {"self_attn.k_proj", kv_rows}, {"self_attn.v_proj", kv_rows}}, hidden,
                              config.qkv_bias);
  o_proj_ = register_linear({{"self_attn.o_proj", hidden}}, q_rows, config.o_bias);
  if (config.qk_norm) {
    q_norm_ = &register_parameter("self_attn.q_norm.weight", {config.head_dim}, true);
    k_norm_ = &register_parameter("self_attn.k_norm.weight", {config.head_dim}, true);
  }
  if (config.activation == Activation::kSwiGlu) {
    inner_proj_ = register_linear({{"mlp.gate_proj", intermediate}, {"mlp.up_proj", intermediate}}, hidden, config.mlp_bias);
  } else {
    inner_proj_ = register_linear({{"mlp.up_proj", intermediate}}, hidden, config.mlp_bias);
    alpha_p_ = &register_parameter("mlp.act_fn.alpha_p", {1});
    alpha_n_ = &register_parameter("mlp.act_fn.alpha_n", {1});
    beta_ = &register_buffer("mlp.act_fn.beta", {}, Role::kConstant);
    eps_ = &register_buffer("mlp.act_fn.eps", {}, Role::kConstant);
  }
  down_proj_ = register_linear({{"mlp.down_proj", hidden}}, intermediate, config.mlp_bias);
  attention_norm_ = &register_parameter(config.attention_norm + ".weight", {hidden}, true);
  mlp_norm_ = &register_parameter(config.mlp_norm + ".weight", {hidden}, true);
}

DecoderLayer::Linear DecoderLayer::register_linear(const std::vector<std::pair<std::string, int64_t>>& names_and_rows, int64_t columns,
                                                   bool has_bias) {
  std::vector<Parameter*> weights, biases;
  for (const auto& [name, rows] : names_and_rows) weights.push_back(&register_parameter(name + ".weight", {rows, columns}));
  if (!has_bias) return {.first = weights.front(), .last = weights.back()};
  for (const auto& [name, rows] : names_and_rows) biases.push_back(&register_parameter(name + ".bias", {rows}));
  return {.first = weights.front(), .last = weights.back(), .first_bias = biases.front(), .last_bias = biases.back()};
}

at::Tensor DecoderLayer::Linear::weight(const at::Tensor& flat) const {
  return span(*first, *last, flat).view({-1, first->shape[1]});
}

at::Tensor DecoderLayer::Linear::bias(const at::Tensor& flat) const {
  return span(*first_bias, *last_bias, flat);
}

at::Tensor DecoderLayer::Linear::operator()(const at::Tensor& x) const {
  const at::Tensor& flat = first->bucket->data;
  return first_bias == nullptr ? at::mm(x, weight(flat).t()) : at::addmm(bias(flat), x, weight(flat).t());
}

at::Tensor DecoderLayer::Linear::added_to(const at::Tensor& residual, const at::Tensor& x) const {
  const at::Tensor& flat = first->bucket->data;
  const at::Tensor sum = at::addmm(residual, x, weight(flat).t());
  return first_bias == nullptr ? sum : sum.add_(bias(flat));
}

void DecoderLayer::Linear::accumulate_gradients(const at::Tensor& grad_out, const at::Tensor& x, bool overwrite) const {
  const at::Tensor& flat = first->bucket->grad;
  accumulate_weight_gradient(weight(flat), grad_out, x, overwrite);
  if (first_bias != nullptr) accumulate(bias(flat), grad_out.sum(0, false, at::kFloat), overwrite);
}

at::Tensor DecoderLayer::inner(const at::Tensor& h, Saved* saved) const {
  at::Tensor rstd2;
  const at::Tensor n2 = rms_norm(h, mlp_norm_->data, config_.rms_norm_eps, saved != nullptr ? &rstd2 : nullptr);
  const at::Tensor inner = inner_proj_(n2);
  if (saved != nullptr) {
    saved->h = h;
    saved->rstd2 = rstd2;
    saved->inner = inner;
  }
  return inner;
}

at::Tensor DecoderLayer::activation(const at::Tensor& inner) const {
  if (config_.activation == Activation::kSwiGlu) return swiglu(inner);
  return xielu(inner, xielu_numbers(alpha_p_->data, alpha_n_->data, beta_->data, eps_->data));
}

void DecoderLayer::activation_backward(at::Tensor& inner, const at::Tensor& grad_out, bool trained, bool overwrite) const {
  if (config_.activation == Activation::kSwiGlu) return swiglu_backward_(inner, grad_out);
  const at::Tensor grad = xielu_backward_(inner, grad_out, xielu_numbers(alpha_p_->data, alpha_n_->data, beta_->data, eps_->data));
  if (!trained) return;
  accumulate(alpha_p_->grad, xielu_alpha_gradient(alpha_p_->data, grad.narrow(0, 0, 1)), overwrite);
  accumulate(alpha_n_->grad, xielu_alpha_gradient(alpha_n_->data, grad.narrow(0, 1, 1)), overwrite);
}

at::Tensor DecoderLayer::mlp(const at::Tensor& h, Saved* saved) const {
  return down_proj_.added_to(h, activation(inner(h, saved)));
}

at::Tensor DecoderLayer::attend(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved) const {
  at::Tensor rstd1;
  const at::Tensor n1 = rms_norm(x, attention_norm_->data, config_.rms_norm_eps, saved != nullptr ? &rstd1 : nullptr);
  const at::Tensor qkv = qkv_proj_(n1);
  const at::Tensor attention_out =
      attention_.forward(qkv, layout, rotary, weight_of(q_norm_), weight_of(k_norm_), saved != nullptr ? &saved->attention : nullptr);
  if (saved != nullptr) {
    saved->x = x;
    saved->rstd1 = rstd1;
    saved->qkv = qkv;
    saved->attention_out = attention_out;
  }
  return o_proj_.added_to(x, attention_out);
}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved) {
  return mlp(attend(x, layout, rotary, saved), saved);
}

at::Tensor DecoderLayer::backward(at::Tensor grad_out, const SequenceLayout& layout, const RotaryTable& rotary, Saved& saved) {
  // Gradient checkpointing: the layer's output is not needed again, so all stops before it.
  if (!saved.qkv.defined()) inner(attend(saved.x, layout, rotary, &saved), &saved);
  Bucket& bucket = *qkv_proj_.first->bucket;
  const bool trained = bucket.is_trained(), overwrite = bucket.grad_is_stale;

  // MLP. The gradient of the residual stream, grad_out, is added to in place from here on.
  at::Tensor grad_activation = at::mm(grad_out, down_proj_.weight(bucket.data));
  if (trained) down_proj_.accumulate_gradients(grad_out, activation(saved.inner), overwrite);
  activation_backward(saved.inner, grad_activation, trained, overwrite);
  grad_activation.reset();
  const at::Tensor grad_n2 = at::mm(saved.inner, inner_proj_.weight(bucket.data));
  if (trained) inner_proj_.accumulate_gradients(saved.inner, rms_norm(saved.h, mlp_norm_->data, config_.rms_norm_eps), overwrite);
  saved.inner.reset();
  at::Tensor norm_grad = rms_norm_backward(grad_n2, saved.h, saved.rstd2, mlp_norm_->data, grad_out, trained);
  if (trained) accumulate(mlp_norm_->grad, norm_grad, overwrite);
  saved.h.reset();

  // Attention.
  const at::Tensor grad_attention = at::mm(grad_out, o_proj_.weight(bucket.data));
  if (trained) o_proj_.accumulate_gradients(grad_out, saved.attention_out, overwrite);
  saved.attention_out.reset();
  const bool head_norms = trained && q_norm_ != nullptr;
  const at::Tensor q_norm_grad = head_norms ? at::zeros({config_.head_dim}, at::kFloat) : at::Tensor();
  const at::Tensor k_norm_grad = head_norms ? at::zeros({config_.head_dim}, at::kFloat) : at::Tensor();
  const at::Tensor grad_qkv = attention_.backward(grad_attention, saved.qkv, saved.attention, layout, rotary, weight_of(q_norm_),
                                                  weight_of(k_norm_), q_norm_grad, k_norm_grad);
  if (head_norms) {
    accumulate(q_norm_->grad, q_norm_grad, overwrite);
    accumulate(k_norm_->grad, k_norm_grad, overwrite);
  }
  saved.qkv.reset();
  saved.attention.probs.reset();
  const at::Tensor grad_n1 = at::mm(grad_qkv, qkv_proj_.weight(bucket.data));
  if (trained) qkv_proj_.accumulate_gradients(grad_qkv, rms_norm(saved.x, attention_norm_->data, config_.rms_norm_eps), overwrite);
  norm_grad = rms_norm_backward(grad_n1, saved.x, saved.rstd1, attention_norm_->data, grad_out, trained);
  if (trained) accumulate(attention_norm_->grad, norm_grad, overwrite);
  saved.x.reset();
  bucket.grad_is_stale = false;
  return grad_out;
}

at::Tensor DecoderLayer::prefill(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, LayerCache& cache) {
  const at::Tensor n1 = rms_norm(x, attention_norm_->data, config_.rms_norm_eps);
  const at::Tensor qkv = qkv_proj_(n1);
  dispatch(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const kernels::HeadLayout& heads = attention_.heads();
    const auto transform = qk_transform<T>(attention_, rotary, weight_of(q_norm_), weight_of(k_norm_));
    run_tasks(layout.num_sequences() * heads.num_kv_heads, [&](int64_t task) {
      const int64_t s = task / heads.num_kv_heads, head = task % heads.num_kv_heads;
      kernels::set<T>().gather_heads(const_pointer<T>(qkv) + layout.cu_seqlens[s] * heads.row(), heads, transform, head, 0,
                                     layout.length(s), 0, nullptr, pointer<T>(cache.k.select(0, s).select(0, head)),
                                     pointer<T>(cache.v.select(0, s).select(0, head)));
    });
  });
  const at::Tensor attention_out = attention_.forward(qkv, layout, rotary, weight_of(q_norm_), weight_of(k_norm_), nullptr);
  return mlp(o_proj_.added_to(x, attention_out), nullptr);
}

at::Tensor DecoderLayer::decode(const at::Tensor& x, const std::vector<int64_t>& positions, const std::vector<int64_t>& rows,
                                const RotaryTable& rotary, LayerCache& cache) {
  const at::Tensor n1 = rms_norm(x, attention_norm_->data, config_.rms_norm_eps);
  const at::Tensor qkv = qkv_proj_(n1);
  const kernels::HeadLayout& heads = attention_.heads();
  const int64_t dim = heads.head_dim, groups = heads.groups();
  const at::Tensor attention_out = at::empty({x.size(0), heads.num_heads * dim}, x.options());
  dispatch(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const auto transform = qk_transform<T>(attention_, rotary, weight_of(q_norm_), weight_of(k_norm_));
    run_tasks(x.size(0) * heads.num_kv_heads, [&](int64_t task) {
      const int64_t b = task / heads.num_kv_heads, head = task % heads.num_kv_heads, position = positions[b];
      const int64_t start = attention_.first_key(position);
      T* keys = pointer<T>(cache.k.select(0, rows[b]).select(0, head));
      T* values = pointer<T>(cache.v.select(0, rows[b]).select(0, head));
      std::vector<T> q(static_cast<size_t>(groups * dim));
      std::vector<float> scores(static_cast<size_t>(position + 1));
      kernels::set<T>().gather_heads(const_pointer<T>(qkv), heads, transform, head, b, 1, position, q.data(), keys + position * dim,
                                     values + position * dim);
      kernels::set<T>().decode_attention(q.data(), keys + start * dim, values + start * dim, position + 1 - start, dim, groups, dim,
                                         scores.data(), pointer<T>(attention_out) + (b * heads.num_heads + head * groups) * dim);
    });
  });
  return mlp(o_proj_.added_to(x, attention_out), nullptr);
}

at::Tensor DecoderLayer::last_attention(const at::Tensor& x, const RotaryTable& rotary, const LayerCache& cache) const {
  const int64_t length = x.size(0);
  const at::Tensor n1 = rms_norm(x.narrow(0, length - 1, 1), attention_norm_->data, config_.rms_norm_eps);
  const at::Tensor qkv = qkv_proj_(n1);
  const kernels::HeadLayout& heads = attention_.heads();
  const at::Tensor q = at::empty({heads.num_heads, heads.head_dim}, x.options());
  dispatch(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const auto transform = qk_transform<T>(attention_, rotary, weight_of(q_norm_), weight_of(k_norm_));
    for (int64_t head = 0; head < heads.num_kv_heads; ++head) {
      kernels::set<T>().gather_heads(const_pointer<T>(qkv), heads, transform, head, 0, 1, length - 1,
                                     pointer<T>(q) + head * heads.groups() * heads.head_dim, nullptr, nullptr);
    }
  });
  const at::Tensor grouped = q.to(at::kFloat).view({heads.num_kv_heads, heads.groups(), heads.head_dim});
  const int64_t start = attention_.first_key(length - 1);
  const at::Tensor keys = cache.k.select(0, 0).narrow(1, start, length - start).to(at::kFloat);  // [num_kv_heads, seen, head_dim]
  const at::Tensor probs = at::zeros({heads.num_heads, length}, at::kFloat);
  probs.narrow(1, start, length - start).copy_(at::softmax(at::bmm(grouped, keys.transpose(1, 2)), -1).view({heads.num_heads, -1}));
  return probs;
}

}  // namespace multimeditron
