#pragma once

#include <cstdint>
#include <vector>

namespace multimeditron::kernels {

/// A bfloat16 in memory (the layout of at::BFloat16).
struct bf16 {
  uint16_t bits;
};

/// How q, k and v lie in the output of the merged projection: rows of [q heads | k heads | v heads] x head_dim.
struct HeadLayout {
  int64_t num_heads = 0, num_kv_heads = 0, head_dim = 0;

  int64_t groups() const { return num_heads / num_kv_heads; }
  int64_t row() const { return (num_heads + 2 * num_kv_heads) * head_dim; }
  int64_t q_offset(int64_t kv_head) const { return kv_head * groups() * head_dim; }
  int64_t k_offset(int64_t kv_head) const { return (num_heads + kv_head) * head_dim; }
  int64_t v_offset(int64_t kv_head) const { return (num_heads + num_kv_heads + kv_head) * head_dim; }
};

/// Rotary position embedding (half-split) and the RMS norm of q and k in front of it (null weights: none).
template <class T>
struct QkTransform {
  const T *q_weight = nullptr, *k_weight = nullptr;  ///< [head_dim]
  float eps = 0;
  const float *cos = nullptr, *sin = nullptr;  ///< [positions, head_dim / 2]
  float q_scale = 1;                           ///< softmax scale, folded into q
};

/// xIELU's numbers (arXiv:2411.13010): `alpha_p` and `alpha_n` as they multiply, after softplus.
struct Xielu {
  float alpha_p = 0, alpha_n = 0, beta = 0, eps = 0;
};

/// In double, so that what is computed from them is rounded once: 1 - 0.999f is 1.3e-5 away from 0.001.
struct AdamW {
  double lr, beta1, beta2, eps, weight_decay;
  double bias_correction1, bias_correction2_sqrt;
  double grad_scale;  ///< clipping: gradients are multiplied by it
};

/// Row-wise kernels, serial over the rows they are given: the callers spread rows or heads over threads. All arithmetic is in float32.
/// T is float or bf16.
template <class T>
struct KernelSet {
  /// out = x * rstd * weight, rstd = 1 / sqrt(mean(x^2) + eps) (arXiv:1910.07467). `rstd` may be null.
  void (*rms_norm)(const T* x, const T* weight, T* out, float* rstd, int64_t rows, int64_t dim, float eps);
  /// grad_x += gradient of the above; grad_weight[dim] (float, may be null) += its own.
  void (*rms_norm_backward)(const T* grad_out, const T* x, const float* rstd, const T* weight, T* grad_x, float* grad_weight, int64_t rows,
                            int64_t dim);
  /// out = silu(gate) * up; gate_up: [rows, 2 * dim] (gate first). Also the backward's recomputation.
  void (*swiglu)(const T* gate_up, T* out, int64_t rows, int64_t dim);
  /// gate_up is overwritten by its gradient.
  void (*swiglu_backward)(T* gate_up, const T* grad_out, int64_t rows, int64_t dim);
  /// x becomes x * sigmoid(1.702 x), CLIP's approximation of GELU (arXiv:1606.08415).
  void (*quick_gelu)(T* x, int64_t count);
  /// out = alpha_p x^2 + beta x where x > 0, else alpha_n (expm1(min(x, eps)) - x) + beta x.
  void (*xielu)(const T* x, T* out, int64_t rows, int64_t dim, const Xielu& activation);
  /// x is overwritten by its gradient; grad_alpha[2] += those of alpha_p and alpha_n.
  void (*xielu_backward)(T* x, const T* grad_out, int64_t rows, int64_t dim, const Xielu& activation, double* grad_alpha);

  /// Positions [first, first + count) of one sample and one kv head: q [count * groups, head_dim] (row = position, then head), normed,
  /// rotated, scaled; k [count, head_dim] normed and rotated; v [count, head_dim]. `qkv` points at the sample's first row; any of q, k, v
  /// may be null.
  void (*gather_heads)(const T* qkv, const HeadLayout& layout, const QkTransform<T>& transform, int64_t kv_head, int64_t first,
                       int64_t count, int64_t first_position, T* q, T* k, T* v);
  /// The reverse for gradients: overwrites the kv head's part of grad_qkv; adds to grad_q_weight, grad_k_weight [head_dim] where not null.
  void (*scatter_head_gradients)(const T* qkv, const HeadLayout& layout, const QkTransform<T>& transform, int64_t kv_head, int64_t count,
                                 const T* grad_q, const T* grad_k, const T* grad_v, T* grad_qkv, float* grad_q_weight,
                                 float* grad_k_weight);
  /// Softmax over the causal part of each row, in place; the rest is zeroed. Row r belongs to position first + r / groups and sees keys
  /// [0, that position], with a `window` (not 0) the last `window` of them. scores: [rows, stride].
  void (*causal_softmax)(T* scores, int64_t rows, int64_t stride, int64_t groups, int64_t first, int64_t window);
  /// grad_probs becomes the gradient of the scores: p * (dp - sum(p * dp)).
  void (*softmax_backward)(const T* probs, T* grad_probs, int64_t rows, int64_t stride);
  /// One new token of one sequence and kv head against its cache: out[groups, head_dim] = softmax(q k^T) v. q is already scaled.
  void (*decode_attention)(const T* q, const T* k, const T* v, int64_t length, int64_t kv_stride, int64_t groups, int64_t head_dim,
                           float* scores, T* out);
  /// Cross entropy of one row: returns the loss; writes grad_scale * (softmax - onehot) over the logits where grad_scale is not 0.
  double (*cross_entropy)(T* logits, int64_t vocab_size, int64_t target, float grad_scale);
  /// Sum of squares.
  double (*sum_of_squares)(const T* values, int64_t count);
  /// y += x (float32 accumulation target).
  void (*add_to_float)(const T* x, float* y, int64_t count);
};

/// AdamW (arXiv:1711.05101) as torch.optim.AdamW computes it. G: the gradient's type. `copy` (may be null) receives the new value in bf16.
template <class G>
using AdamWStep = void (*)(const AdamW& options, const G* grad, float* parameter, float* exp_avg, float* exp_avg_sq, bf16* copy,
                           int64_t count);

struct Kernels {
  const char* name;
  KernelSet<float> f32;
  KernelSet<bf16> bf;
  AdamWStep<float> adamw_f32;
  AdamWStep<bf16> adamw_bf16;
};

/// Every variant that this CPU runs, the best one last.
std::vector<Kernels> variants();

/// The best variant that this CPU runs; MULTIMEDITRON_KERNELS=baseline|avx2|avx512 asks for another.
const Kernels& active();

template <class T>
const KernelSet<T>& set();
template <>
inline const KernelSet<float>& set<float>() {
  return active().f32;
}
template <>
inline const KernelSet<bf16>& set<bf16>() {
  return active().bf;
}

}  // namespace multimeditron::kernels
