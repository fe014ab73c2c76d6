// Row-wise CPU kernels, compiled once for each instruction set (CMakeLists.txt sets KERNEL_VARIANT). Loops are plain so that g++ vectorises
// them; pointers that do not alias say so.
#include <bit>
#include <cmath>
#include <cstring>

#include "models/kernels/kernels.h"

#define CONCAT2(a, b) a##b
#define CONCAT(a, b) CONCAT2(a, b)

namespace multimeditron::kernels {
namespace {

inline float load(float value) {
  return value;
}
inline float load(bf16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}
inline void store(float& target, float value) {
  target = value;
}
inline void store(bf16& target, float value) {  // round to nearest even; the processor's own NaN stays one
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  target.bits = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// expm1 for x <= 0: as fast_exp, but near 0 the 1 is not added, which would hide the small values' digits.
inline float fast_expm1(float x) {
  x = x < -87.0f ? -87.0f : x;
  const int32_t exponent = static_cast<int32_t>(x * 1.44269504f - 0.5f);
  const float n = static_cast<float>(exponent);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float small = p * r * r + r;
  return exponent == 0 ? small : std::bit_cast<float>((exponent + 127) << 23) * (small + 1.0f) - 1.0f;
}

/// exp by range reduction to [-ln2/2, ln2/2] and a polynomial of degree 6 (relative error below 4e-6; NaN is not kept); x is held
/// between -87 and 88, so that the result is never 0 nor infinite.
inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  // Truncation after adding a half, not the usual magic constant: reassociation would cancel that.
  const int32_t exponent = static_cast<int32_t>(x * 1.44269504f + (x < 0 ? -0.5f : 0.5f));
  const float n = static_cast<float>(exponent);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * std::bit_cast<float>((exponent + 127) << 23);
}

template <class T>
void rms_norm(const T* __restrict x, const T* __restrict weight, T* __restrict out, float* rstd, int64_t rows, int64_t dim, float eps) {
  for (int64_t row = 0; row < rows; ++row, x += dim, out += dim) {
    float sum = 0;
    for (int64_t i = 0; i < dim; ++i) sum += load(x[i]) * load(x[i]);
    const float r = 1.0f / std::sqrt(sum / static_cast<float>(dim) + eps);
    if (rstd != nullptr) rstd[row] = r;
    for (int64_t i = 0; i < dim; ++i) store(out[i], load(x[i]) * r * load(weight[i]));
  }
}

template <class T>
void rms_norm_backward(const T* __restrict grad_out, const T* __restrict x, const float* __restrict rstd, const T* __restrict weight,
                       T* __restrict grad_x, float* __restrict grad_weight, int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, x += dim, grad_out += dim, grad_x += dim) {
    const float r = rstd[row];
    float dot = 0;
    for (int64_t i = 0; i < dim; ++i) dot += load(grad_out[i]) * load(weight[i]) * load(x[i]);
    const float c = dot * r * r * r / static_cast<float>(dim);
    for (int64_t i = 0; i < dim; ++i) store(grad_x[i], load(grad_x[i]) + load(grad_out[i]) * load(weight[i]) * r - load(x[i]) * c);
    if (grad_weight != nullptr) {
      for (int64_t i = 0; i < dim; ++i) grad_weight[i] += load(grad_out[i]) * load(x[i]) * r;
    }
  }
}

template <class T>
void swiglu(const T* __restrict gate_up, T* __restrict out, int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, gate_up += 2 * dim, out += dim) {
    const T* __restrict gate = gate_up;
    const T* __restrict up = gate_up + dim;
    for (int64_t i = 0; i < dim; ++i) {
      const float g = load(gate[i]);
      store(out[i], g / (1.0f + fast_exp(-g)) * load(up[i]));
    }
  }
}

template <class T>
void swiglu_backward(T* gate_up, const T* __restrict grad_out, int64_t rows, int64_t dim) {
  for (int64_t row = 0; row < rows; ++row, gate_up += 2 * dim, grad_out += dim) {
    T* __restrict gate = gate_up;
    T* __restrict up = gate_up + dim;
    for (int64_t i = 0; i < dim; ++i) {
      const float g = load(gate[i]), u = load(up[i]), d = load(grad_out[i]);
      const float sigmoid = 1.0f / (1.0f + fast_exp(-g));
      const float silu = g * sigmoid;
      store(gate[i], d * u * (sigmoid + silu * (1.0f - sigmoid)));
      store(up[i], d * silu);
    }
  }
}

template <class T>
void quick_gelu(T* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float v = load(x[i]);
    store(x[i], v / (1.0f + fast_exp(-1.702f * v)));
  }
}

template <class T>
void xielu(const T* __restrict x, T* __restrict out, int64_t rows, int64_t dim, const Xielu& activation) {
  const auto [alpha_p, alpha_n, beta, eps] = activation;
  for (int64_t i = 0; i < rows * dim; ++i) {
    const float v = load(x[i]);
    const float positive = alpha_p * v * v, negative = alpha_n * (fast_expm1(v < eps ? v : eps) - v);
    store(out[i], (v > 0 ? positive : negative) + beta * v);
  }
}

template <class T>
void xielu_backward(T* __restrict x, const T* __restrict grad_out, int64_t rows, int64_t dim, const Xielu& activation,
                    double* __restrict grad_alpha) {
  const auto [alpha_p, alpha_n, beta, eps] = activation;
  for (int64_t row = 0; row < rows; ++row, x += dim, grad_out += dim) {
    float sum_p = 0, sum_n = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const float v = load(x[i]), d = load(grad_out[i]);
      const float m = fast_expm1(v < eps ? v : eps);
      sum_p += v > 0 ? d * v * v : 0.0f;
      sum_n += v > 0 ? 0.0f : d * (m - v);
      const float negative = alpha_n * (v < eps ? m : -1.0f);  // the derivative of expm1 is expm1 + 1
      store(x[i], d * ((v > 0 ? 2.0f * alpha_p * v : negative) + beta));
    }
    grad_alpha[0] += static_cast<double>(sum_p);
    grad_alpha[1] += static_cast<double>(sum_n);
  }
}

/// out = rotate(norm(in)) * scale for one head of one position.
template <class T>
inline void transform_head(const T* __restrict in, const T* __restrict weight, float eps, const float* __restrict cos,
                           const float* __restrict sin, float scale, T* __restrict out, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  float r = 1.0f;
  if (weight != nullptr) {
    float sum = 0;
    for (int64_t i = 0; i < head_dim; ++i) sum += load(in[i]) * load(in[i]);
    r = 1.0f / std::sqrt(sum / static_cast<float>(head_dim) + eps);
    for (int64_t i = 0; i < half; ++i) {
      const float a = load(in[i]) * r * load(weight[i]), b = load(in[i + half]) * r * load(weight[i + half]);
      store(out[i], (a * cos[i] - b * sin[i]) * scale);
      store(out[i + half], (b * cos[i] + a * sin[i]) * scale);
    }
    return;
  }
  for (int64_t i = 0; i < half; ++i) {
    const float a = load(in[i]), b = load(in[i + half]);
    store(out[i], (a * cos[i] - b * sin[i]) * scale);
    store(out[i + half], (b * cos[i] + a * sin[i]) * scale);
  }
}

/// Gradient of transform_head; overwrites grad_in, adds to grad_weight.
template <class T>
inline void transform_head_backward(const T* __restrict in, const T* __restrict weight, float eps, const float* __restrict cos,
                                    const float* __restrict sin, float scale, const T* __restrict grad_out, T* __restrict grad_in,
                                    float* __restrict grad_weight, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  constexpr int64_t kMaxHeadDim = 512;
  float grad[kMaxHeadDim];  // of the normed head, before rotation
  for (int64_t i = 0; i < half; ++i) {
    const float a = load(grad_out[i]) * scale, b = load(grad_out[i + half]) * scale;
    grad[i] = a * cos[i] + b * sin[i];
    grad[i + half] = b * cos[i] - a * sin[i];
  }
  if (weight == nullptr) {
    for (int64_t i = 0; i < head_dim; ++i) store(grad_in[i], grad[i]);
    return;
  }
  float sum = 0, dot = 0;
  for (int64_t i = 0; i < head_dim; ++i) {
    sum += load(in[i]) * load(in[i]);
    dot += grad[i] * load(weight[i]) * load(in[i]);
  }
  const float r = 1.0f / std::sqrt(sum / static_cast<float>(head_dim) + eps);
  const float c = dot * r * r * r / static_cast<float>(head_dim);
  if (grad_weight != nullptr) {
    for (int64_t i = 0; i < head_dim; ++i) grad_weight[i] += grad[i] * load(in[i]) * r;
  }
  for (int64_t i = 0; i < head_dim; ++i) store(grad_in[i], grad[i] * load(weight[i]) * r - load(in[i]) * c);
}

template <class T>
void gather_heads(const T* qkv, const HeadLayout& layout, const QkTransform<T>& transform, int64_t kv_head, int64_t first, int64_t count,
                  int64_t first_position, T* q, T* k, T* v) {
  const int64_t d = layout.head_dim, half = d / 2, groups = layout.groups();
  for (int64_t t = 0; t < count; ++t) {
    const T* row = qkv + (first + t) * layout.row();
    const float* cos = transform.cos + (first_position + t) * half;
    const float* sin = transform.sin + (first_position + t) * half;
    if (q != nullptr) {
      for (int64_t g = 0; g < groups; ++g) {
        transform_head(row + layout.q_offset(kv_head) + g * d, transform.q_weight, transform.eps, cos, sin, transform.q_scale,
                       q + (t * groups + g) * d, d);
      }
    }
    if (k != nullptr) transform_head(row + layout.k_offset(kv_head), transform.k_weight, transform.eps, cos, sin, 1.0f, k + t * d, d);
    if (v != nullptr) std::memcpy(v + t * d, row + layout.v_offset(kv_head), static_cast<size_t>(d) * sizeof(T));
  }
}

template <class T>
void scatter_head_gradients(const T* qkv, const HeadLayout& layout, const QkTransform<T>& transform, int64_t kv_head, int64_t count,
                            const T* grad_q, const T* grad_k, const T* grad_v, T* grad_qkv, float* grad_q_weight, float* grad_k_weight) {
  const int64_t d = layout.head_dim, half = d / 2, groups = layout.groups();
  for (int64_t t = 0; t < count; ++t) {
    const T* row = qkv + t * layout.row();
    T* grad_row = grad_qkv + t * layout.row();
    const float* cos = transform.cos + t * half;
    const float* sin = transform.sin + t * half;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t offset = layout.q_offset(kv_head) + g * d;
      transform_head_backward(row + offset, transform.q_weight, transform.eps, cos, sin, transform.q_scale, grad_q + (t * groups + g) * d,
                              grad_row + offset, grad_q_weight, d);
    }
    transform_head_backward(row + layout.k_offset(kv_head), transform.k_weight, transform.eps, cos, sin, 1.0f, grad_k + t * d,
                            grad_row + layout.k_offset(kv_head), grad_k_weight, d);
    std::memcpy(grad_row + layout.v_offset(kv_head), grad_v + t * d, static_cast<size_t>(d) * sizeof(T));
  }
}

template <class T>
void causal_softmax(T* scores, int64_t rows, int64_t stride, int64_t groups, int64_t first, int64_t window) {
  for (int64_t row = 0; row < rows; ++row, scores += stride) {
    const int64_t visible = first + row / groups + 1, begin = window > 0 && visible > window ? visible - window : 0;
    std::memset(static_cast<void*>(scores), 0, static_cast<size_t>(begin) * sizeof(T));
    float max = load(scores[begin]);
    for (int64_t i = begin + 1; i < visible; ++i) max = load(scores[i]) > max ? load(scores[i]) : max;
    float sum = 0;
    for (int64_t i = begin; i < visible; ++i) {
      const float e = fast_exp(load(scores[i]) - max);
      sum += e;
      store(scores[i], e);
    }
    const float inverse = 1.0f / sum;
    for (int64_t i = begin; i < visible; ++i) store(scores[i], load(scores[i]) * inverse);
    std::memset(static_cast<void*>(scores + visible), 0, static_cast<size_t>(stride - visible) * sizeof(T));
  }
}

template <class T>
void softmax_backward(const T* __restrict probs, T* __restrict grad_probs, int64_t rows, int64_t stride) {
  for (int64_t row = 0; row < rows; ++row, probs += stride, grad_probs += stride) {
    float dot = 0;
    for (int64_t i = 0; i < stride; ++i) dot += load(probs[i]) * load(grad_probs[i]);
    for (int64_t i = 0; i < stride; ++i) store(grad_probs[i], load(probs[i]) * (load(grad_probs[i]) - dot));
  }
}

template <class T>
void decode_attention(const T* __restrict q, const T* __restrict k, const T* __restrict v, int64_t length, int64_t kv_stride,
                      int64_t groups, int64_t head_dim, float* __restrict scores, T* __restrict out) {
  for (int64_t g = 0; g < groups; ++g, q += head_dim, out += head_dim) {
    float max = -3.0e38f;
    for (int64_t t = 0; t < length; ++t) {
      const T* __restrict key = k + t * kv_stride;
      float dot = 0;
      for (int64_t i = 0; i < head_dim; ++i) dot += load(q[i]) * load(key[i]);
      scores[t] = dot;
      max = dot > max ? dot : max;
    }
    float sum = 0;
    for (int64_t t = 0; t < length; ++t) {
      scores[t] = fast_exp(scores[t] - max);
      sum += scores[t];
    }
    float result[512] = {};
    for (int64_t t = 0; t < length; ++t) {
      const T* __restrict value = v + t * kv_stride;
      const float p = scores[t];
      for (int64_t i = 0; i < head_dim; ++i) result[i] += p * load(value[i]);
    }
    for (int64_t i = 0; i < head_dim; ++i) store(out[i], result[i] / sum);
  }
}

template <class T>
double cross_entropy(T* logits, int64_t vocab_size, int64_t target, float grad_scale) {
  float max = load(logits[0]);
  for (int64_t i = 1; i < vocab_size; ++i) max = load(logits[i]) > max ? load(logits[i]) : max;
  // Partial sums of blocks, added in double: the sum over a vocabulary of 150,000 keeps its digits.
  double sum = 0;
  for (int64_t start = 0; start < vocab_size; start += 1024) {
    const int64_t end = start + 1024 < vocab_size ? start + 1024 : vocab_size;
    float block = 0;
    for (int64_t i = start; i < end; ++i) block += fast_exp(load(logits[i]) - max);
    sum += static_cast<double>(block);
  }
  const double loss = std::log(sum) + static_cast<double>(max) - static_cast<double>(load(logits[target]));
  if (grad_scale != 0.0f) {
    const float factor = static_cast<float>(static_cast<double>(grad_scale) / sum);
    const float target_probability = fast_exp(load(logits[target]) - max) * factor;
    for (int64_t i = 0; i < vocab_size; ++i) store(logits[i], fast_exp(load(logits[i]) - max) * factor);
    store(logits[target], target_probability - grad_scale);
  }
  return loss;
}

template <class T>
double sum_of_squares(const T* values, int64_t count) {
  double sum = 0;
  for (int64_t start = 0; start < count; start += 4096) {
    const int64_t end = start + 4096 < count ? start + 4096 : count;
    float block = 0;
    for (int64_t i = start; i < end; ++i) block += load(values[i]) * load(values[i]);
    sum += static_cast<double>(block);
  }
  return sum;
}

template <class T>
void add_to_float(const T* __restrict x, float* __restrict y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] += load(x[i]);
}

template <class G>
void adamw(const AdamW& o, const G* __restrict grad, float* __restrict parameter, float* __restrict exp_avg, float* __restrict exp_avg_sq,
           bf16* __restrict copy, int64_t count) {
  const auto decay = static_cast<float>(1 - o.lr * o.weight_decay), step = static_cast<float>(o.lr / o.bias_correction1);
  const auto beta2 = static_cast<float>(o.beta2), share1 = static_cast<float>(1 - o.beta1), share2 = static_cast<float>(1 - o.beta2);
  const auto inverse_sqrt = static_cast<float>(1 / o.bias_correction2_sqrt);
  const auto eps = static_cast<float>(o.eps), grad_scale = static_cast<float>(o.grad_scale);
  for (int64_t i = 0; i < count; ++i) {
    const float g = load(grad[i]) * grad_scale;
    const float m = exp_avg[i] + share1 * (g - exp_avg[i]);
    const float v = exp_avg_sq[i] * beta2 + share2 * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    const float p = parameter[i] * decay - step * m / (std::sqrt(v) * inverse_sqrt + eps);
    parameter[i] = p;
    if (copy != nullptr) store(copy[i], p);
  }
}

template <class T>
KernelSet<T> kernel_set() {
  return {.rms_norm = rms_norm<T>,
          .rms_norm_backward = rms_norm_backward<T>,
          .swiglu = swiglu<T>,
          .swiglu_backward = swiglu_backward<T>,
          .quick_gelu = quick_gelu<T>,
          .xielu = xielu<T>,
          .xielu_backward = xielu_backward<T>,
          .gather_heads = gather_heads<T>,
          .scatter_head_gradients = scatter_head_gradients<T>,
          .causal_softmax = causal_softmax<T>,
          .softmax_backward = softmax_backward<T>,
          .decode_attention = decode_attention<T>,
          .cross_entropy = cross_entropy<T>,
          .sum_of_squares = sum_of_squares<T>,
          .add_to_float = add_to_float<T>};
}

}  // namespace

Kernels CONCAT(kernels_, KERNEL_VARIANT)();

#define STRING2(a) #a
#define STRING(a) STRING2(a)

Kernels CONCAT(kernels_, KERNEL_VARIANT)() {
  return {.name = STRING(KERNEL_VARIANT),
          .f32 = kernel_set<float>(),
          .bf = kernel_set<bf16>(),
          .adamw_f32 = adamw<float>,
          .adamw_bf16 = adamw<bf16>};
}

}  // namespace multimeditron::kernels
