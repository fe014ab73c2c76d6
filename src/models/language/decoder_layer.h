#pragma once

#include <ATen/core/Tensor.h>

#include "models/language/decoder_config.h"
#include "models/layers/attention.h"
#include "models/module.h"

namespace multimeditron {

/// Keys (normed, rotated) and values of a batch of sequences for one layer: k, v [batch, num_key_value_heads, capacity, head_dim].
struct LayerCache {
  at::Tensor k, v;
};

/// A decoder block of the Llama family:
///   h = x + o_proj(attention(input_layernorm(x)))
///   y = h + down_proj(silu(gate_proj(n)) * up_proj(n)),  n = post_attention_layernorm(h)
/// with a backward pass by hand: weight gradients are multiplied straight into the layer's bucket, norm outputs and the SwiGLU product are
/// computed again instead of kept. Tests compare it with the plain composition under autograd.
class DecoderLayer : public Module {
 public:
  explicit DecoderLayer(const DecoderConfig& config);

  /// What the backward pass needs. With gradient checkpointing only `x` is kept and the rest is computed again.
  struct Saved {
    at::Tensor x, rstd1, qkv, attention_out, h, rstd2, gate_up;
    PackedAttention::Saved attention;
  };

  /// `x`: [T, hidden_size]. Returns the same shape. `saved` may be null (no gradient wanted).
  at::Tensor forward(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved);

  /// `grad_out`: [T, hidden_size], overwritten. Adds weight gradients to the bucket where it is trained; returns the gradient of x.
  /// Empties `saved` as it goes.
  at::Tensor backward(at::Tensor grad_out, const SequenceLayout& layout, const RotaryTable& rotary, Saved& saved);

  /// As forward, and writes the keys and values of sequence s into row s of the cache, which must be large enough.
  at::Tensor prefill(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, LayerCache& cache);

  /// One new token a sequence. `x`: [batch, hidden_size]; `positions[b]`: tokens that sequence b has in the cache already (and the position
  /// of its new one); `rows[b]`: its row in the cache.
  at::Tensor decode(const at::Tensor& x, const std::vector<int64_t>& positions, const std::vector<int64_t>& rows, const RotaryTable& rotary,
                    LayerCache& cache);

  /// The attention of a prompt's last position, after prefill() of that prompt alone: its probabilities over all positions of the prompt,
  /// float32 [num_attention_heads, T]. `x`: what prefill() was given.
  at::Tensor last_attention(const at::Tensor& x, const RotaryTable& rotary, const LayerCache& cache) const;

 private:
  /// The residual stream after the attention: [T, hidden_size].
  at::Tensor attend(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved) const;
  at::Tensor gate_up(const at::Tensor& h, Saved* saved) const;  ///< [T, 2 * intermediate_size]
  at::Tensor mlp(const at::Tensor& h, Saved* saved) const;
  at::Tensor merged(const Parameter& first, const Parameter& last, const at::Tensor& flat) const;

  DecoderConfig config_;
  PackedAttention attention_;
  Parameter *input_layernorm_, *q_proj_, *k_proj_, *v_proj_, *o_proj_, *q_norm_ = nullptr, *k_norm_ = nullptr;
  Parameter *post_attention_layernorm_, *gate_proj_, *up_proj_, *down_proj_;
};

}  // namespace multimeditron
