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

at::Tensor weight_of(const Parameter* parameter) {
  return parameter == nullptr ? at::Tensor() : parameter->data;
}

}  // namespace

DecoderLayer::DecoderLayer(const DecoderConfig& config)
    : config_(config),
      attention_({.num_heads = config.num_attention_heads, .num_kv_heads = config.num_key_value_heads, .head_dim = config.head_dim},
                 config.rms_norm_eps) {
  const int64_t hidden = config.hidden_size, q_rows = config.num_attention_heads * config.head_dim,
                kv_rows = config.num_key_value_heads * config.head_dim;
  own_bucket();
  // q, k, v and gate, up lie side by side in the bucket: each group is one matrix product.
  q_proj_ = &register_parameter("self_attn.q_proj.weight", {q_rows, hidden});
  k_proj_ = &register_parameter("self_attn.k_proj.weight", {kv_rows, hidden});
  v_proj_ = &register_parameter("self_attn.v_proj.weight", {kv_rows, hidden});
  o_proj_ = &register_parameter("self_attn.o_proj.weight", {hidden, q_rows});
  if (config.qk_norm) {
    q_norm_ = &register_parameter("self_attn.q_norm.weight", {config.head_dim}, true);
    k_norm_ = &register_parameter("self_attn.k_norm.weight", {config.head_dim}, true);
  }
  gate_proj_ = &register_parameter("mlp.gate_proj.weight", {config.intermediate_size, hidden});
  up_proj_ = &register_parameter("mlp.up_proj.weight", {config.intermediate_size, hidden});
  down_proj_ = &register_parameter("mlp.down_proj.weight", {hidden, config.intermediate_size});
  input_layernorm_ = &register_parameter("input_layernorm.weight", {hidden}, true);
  post_attention_layernorm_ = &register_parameter("post_attention_layernorm.weight", {hidden}, true);
}

at::Tensor DecoderLayer::merged(const Parameter& first, const Parameter& last, const at::Tensor& flat) const {
  const int64_t start = first.data.storage_offset(), end = last.data.storage_offset() + last.numel();
  return flat.narrow(0, start, end - start).view({-1, config_.hidden_size});
}

at::Tensor DecoderLayer::gate_up(const at::Tensor& h, Saved* saved) const {
  at::Tensor rstd2;
  const at::Tensor n2 = rms_norm(h, post_attention_layernorm_->data, config_.rms_norm_eps, saved != nullptr ? &rstd2 : nullptr);
  const at::Tensor gate_up = at::mm(n2, merged(*gate_proj_, *up_proj_, gate_proj_->bucket->data).t());
  if (saved != nullptr) {
    saved->h = h;
    saved->rstd2 = rstd2;
    saved->gate_up = gate_up;
  }
  return gate_up;
}

at::Tensor DecoderLayer::mlp(const at::Tensor& h, Saved* saved) const {
  return at::addmm(h, swiglu(gate_up(h, saved)), down_proj_->data.t());
}

at::Tensor DecoderLayer::attend(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved) const {
  at::Tensor rstd1;
  const at::Tensor n1 = rms_norm(x, input_layernorm_->data, config_.rms_norm_eps, saved != nullptr ? &rstd1 : nullptr);
  const at::Tensor qkv = at::mm(n1, merged(*q_proj_, *v_proj_, q_proj_->bucket->data).t());
  const at::Tensor attention_out =
      attention_.forward(qkv, layout, rotary, weight_of(q_norm_), weight_of(k_norm_), saved != nullptr ? &saved->attention : nullptr);
  if (saved != nullptr) {
    saved->x = x;
    saved->rstd1 = rstd1;
    saved->qkv = qkv;
    saved->attention_out = attention_out;
  }
  return at::addmm(x, attention_out, o_proj_->data.t());
}

at::Tensor DecoderLayer::forward(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved) {
  return mlp(attend(x, layout, rotary, saved), saved);
}

at::Tensor DecoderLayer::backward(at::Tensor grad_out, const SequenceLayout& layout, const RotaryTable& rotary, Saved& saved) {
  // Gradient checkpointing: the layer's output is not needed again, so all stops before it.
  if (!saved.qkv.defined()) gate_up(attend(saved.x, layout, rotary, &saved), &saved);
  Bucket& bucket = *q_proj_->bucket;
  const bool trained = bucket.is_trained(), overwrite = bucket.grad_is_stale;

  // MLP. The gradient of the residual stream, grad_out, is added to in place from here on.
  at::Tensor grad_activation = at::mm(grad_out, down_proj_->data);
  if (trained) accumulate_weight_gradient(down_proj_->grad, grad_out, swiglu(saved.gate_up), overwrite);
  swiglu_backward_(saved.gate_up, grad_activation);
  grad_activation.reset();
  const at::Tensor grad_n2 = at::mm(saved.gate_up, merged(*gate_proj_, *up_proj_, bucket.data));
  if (trained) {
    const at::Tensor n2 = rms_norm(saved.h, post_attention_layernorm_->data, config_.rms_norm_eps);
    accumulate_weight_gradient(merged(*gate_proj_, *up_proj_, bucket.grad), saved.gate_up, n2, overwrite);
  }
  saved.gate_up.reset();
  at::Tensor norm_grad = rms_norm_backward(grad_n2, saved.h, saved.rstd2, post_attention_layernorm_->data, grad_out, trained);
  if (trained) accumulate(post_attention_layernorm_->grad, norm_grad, overwrite);
  saved.h.reset();

  // Attention.
  const at::Tensor grad_attention = at::mm(grad_out, o_proj_->data);
  if (trained) accumulate_weight_gradient(o_proj_->grad, grad_out, saved.attention_out, overwrite);
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
  const at::Tensor grad_n1 = at::mm(grad_qkv, merged(*q_proj_, *v_proj_, bucket.data));
  if (trained) {
    const at::Tensor n1 = rms_norm(saved.x, input_layernorm_->data, config_.rms_norm_eps);
    accumulate_weight_gradient(merged(*q_proj_, *v_proj_, bucket.grad), grad_qkv, n1, overwrite);
  }
  norm_grad = rms_norm_backward(grad_n1, saved.x, saved.rstd1, input_layernorm_->data, grad_out, trained);
  if (trained) accumulate(input_layernorm_->grad, norm_grad, overwrite);
  saved.x.reset();
  bucket.grad_is_stale = false;
  return grad_out;
}

at::Tensor DecoderLayer::prefill(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, LayerCache& cache) {
  const at::Tensor n1 = rms_norm(x, input_layernorm_->data, config_.rms_norm_eps);
  const at::Tensor qkv = at::mm(n1, merged(*q_proj_, *v_proj_, q_proj_->bucket->data).t());
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
  return mlp(at::addmm(x, attention_out, o_proj_->data.t()), nullptr);
}

at::Tensor DecoderLayer::decode(const at::Tensor& x, const std::vector<int64_t>& positions, const std::vector<int64_t>& rows,
                                const RotaryTable& rotary, LayerCache& cache) {
  const at::Tensor n1 = rms_norm(x, input_layernorm_->data, config_.rms_norm_eps);
  const at::Tensor qkv = at::mm(n1, merged(*q_proj_, *v_proj_, q_proj_->bucket->data).t());
  const kernels::HeadLayout& heads = attention_.heads();
  const int64_t dim = heads.head_dim, groups = heads.groups();
  const at::Tensor attention_out = at::empty({x.size(0), heads.num_heads * dim}, x.options());
  dispatch(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    const auto transform = qk_transform<T>(attention_, rotary, weight_of(q_norm_), weight_of(k_norm_));
    run_tasks(x.size(0) * heads.num_kv_heads, [&](int64_t task) {
      const int64_t b = task / heads.num_kv_heads, head = task % heads.num_kv_heads, position = positions[b];
      T* keys = pointer<T>(cache.k.select(0, rows[b]).select(0, head));
      T* values = pointer<T>(cache.v.select(0, rows[b]).select(0, head));
      std::vector<T> q(static_cast<size_t>(groups * dim));
      std::vector<float> scores(static_cast<size_t>(position + 1));
      kernels::set<T>().gather_heads(const_pointer<T>(qkv), heads, transform, head, b, 1, position, q.data(), keys + position * dim,
                                     values + position * dim);
      kernels::set<T>().decode_attention(q.data(), keys, values, position + 1, dim, groups, dim, scores.data(),
                                         pointer<T>(attention_out) + (b * heads.num_heads + head * groups) * dim);
    });
  });
  return mlp(at::addmm(x, attention_out, o_proj_->data.t()), nullptr);
}

at::Tensor DecoderLayer::last_attention(const at::Tensor& x, const RotaryTable& rotary, const LayerCache& cache) const {
  const int64_t length = x.size(0);
  const at::Tensor n1 = rms_norm(x.narrow(0, length - 1, 1), input_layernorm_->data, config_.rms_norm_eps);
  const at::Tensor qkv = at::mm(n1, merged(*q_proj_, *v_proj_, q_proj_->bucket->data).t());
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
  const at::Tensor keys = cache.k.select(0, 0).narrow(1, 0, length).to(at::kFloat);  // [num_kv_heads, T, head_dim]
  return at::softmax(at::bmm(grouped, keys.transpose(1, 2)), -1).view({heads.num_heads, length});
}

}  // namespace multimeditron
