#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/kernels/kernels.h"
#include "models/layers/rotary.h"

namespace multimeditron {

/// Where the samples of a packed row of T tokens begin and end: sample s has rows [cu_seqlens[s], cu_seqlens[s + 1]).
struct SequenceLayout {
  std::vector<int64_t> cu_seqlens{0};

  int64_t num_sequences() const { return static_cast<int64_t>(cu_seqlens.size()) - 1; }
  int64_t num_tokens() const { return cu_seqlens.back(); }
  int64_t length(int64_t sequence) const { return cu_seqlens[sequence + 1] - cu_seqlens[sequence]; }
};

/// Causal grouped-query attention (arXiv:2305.13245) of each sample of a packed row for itself, with q/k norm and rotary embedding.
/// Works on the output of the merged projection; keys are never repeated: the heads of a group are rows of one product.
class PackedAttention {
 public:
  /// `window`: keys that a position sees, its own included; 0: all before it.
  PackedAttention(kernels::HeadLayout heads, double norm_eps, int64_t window = 0) : heads_(heads), norm_eps_(norm_eps), window_(window) {}

  /// What the backward pass needs besides qkv.
  struct Saved {
    at::Tensor probs;  ///< probabilities of all (sample, kv head), one after the other; those of long samples are computed again
  };

  /// `qkv`: [T, (num_heads + 2 num_kv_heads) * head_dim]; `q_norm`, `k_norm`: [head_dim] or undefined. Returns [T, num_heads * head_dim].
  /// `saved` may be null.
  at::Tensor forward(const at::Tensor& qkv, const SequenceLayout& layout, const RotaryTable& rotary, const at::Tensor& q_norm,
                     const at::Tensor& k_norm, Saved* saved) const;

  /// Returns the gradient of qkv. Adds to `q_norm_grad`, `k_norm_grad` (float32 [head_dim]) where defined.
  at::Tensor backward(const at::Tensor& grad_out, const at::Tensor& qkv, const Saved& saved, const SequenceLayout& layout,
                      const RotaryTable& rotary, const at::Tensor& q_norm, const at::Tensor& k_norm, const at::Tensor& q_norm_grad,
                      const at::Tensor& k_norm_grad) const;

  const kernels::HeadLayout& heads() const { return heads_; }
  double norm_eps() const { return norm_eps_; }
  /// The first key that a position sees.
  int64_t first_key(int64_t position) const { return window_ > 0 && position >= window_ ? position + 1 - window_ : 0; }
  float scale() const;

 private:
  template <class T>
  at::Tensor forward_typed(const at::Tensor& qkv, const SequenceLayout& layout, const kernels::QkTransform<T>& transform,
                           Saved* saved) const;
  template <class T>
  at::Tensor backward_typed(const at::Tensor& grad_out, const at::Tensor& qkv, const Saved& saved, const SequenceLayout& layout,
                            const kernels::QkTransform<T>& transform, const at::Tensor& q_norm_grad, const at::Tensor& k_norm_grad) const;

  kernels::HeadLayout heads_;
  double norm_eps_;
  int64_t window_;
};

/// The transform of q and k for a dtype; pointers live as long as the tensors.
template <class T>
kernels::QkTransform<T> qk_transform(const PackedAttention& attention, const RotaryTable& rotary, const at::Tensor& q_norm,
                                     const at::Tensor& k_norm);

}  // namespace multimeditron
