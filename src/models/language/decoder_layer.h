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
///   y = h + down_proj(activation(n)),  n = post_attention_layernorm(h)
///   activation(n): silu(gate_proj(n)) * up_proj(n), or xielu(up_proj(n))
/// with a backward pass by hand: weight gradients are multiplied straight into the layer's bucket, norm outputs and the activation are
/// computed again instead of kept. Tests compare it with the plain composition under autograd, and with transformers.
class DecoderLayer : public Module {
 public:
  DecoderLayer(const DecoderConfig& config, int64_t index);

  /// What the backward pass needs. With gradient checkpointing only `x` is kept and the rest is computed again.
  struct Saved {
    at::Tensor x, rstd1, qkv, attention_out, h, rstd2, inner;
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
  /// A linear layer, or neighbours of one input (q, k, v; gate, up) as one: their weights lie side by side in the bucket, as do their
  /// biases.
  struct Linear {
    Parameter *first = nullptr, *last = nullptr;
    Parameter *first_bias = nullptr, *last_bias = nullptr;  ///< null: none

    at::Tensor weight(const at::Tensor& flat) const;  ///< [out, in], out of the bucket's data or gradient
    at::Tensor bias(const at::Tensor& flat) const;    ///< [out]
    at::Tensor operator()(const at::Tensor& x) const;
    at::Tensor added_to(const at::Tensor& residual, const at::Tensor& x) const;
    void accumulate_gradients(const at::Tensor& grad_out, const at::Tensor& x, bool overwrite) const;
  };
  Linear register_linear(const std::vector<std::pair<std::string, int64_t>>& names_and_rows, int64_t columns, bool has_bias);

  /// The residual stream after the attention: [T, hidden_size].
  at::Tensor attend(const at::Tensor& x, const SequenceLayout& layout, const RotaryTable& rotary, Saved* saved) const;
  at::Tensor inner(const at::Tensor& h, Saved* saved) const;  ///< what the activation is given: gate and up, or up
  at::Tensor activation(const at::Tensor& inner) const;       ///< [T, intermediate_size]
  /// `inner` becomes its gradient; gradients of the activation's own parameters go to the bucket.
  void activation_backward(at::Tensor& inner, const at::Tensor& grad_out, bool trained, bool overwrite) const;
  at::Tensor mlp(const at::Tensor& h, Saved* saved) const;

  DecoderConfig config_;
  PackedAttention attention_;
  Linear qkv_proj_, o_proj_, inner_proj_, down_proj_;
  Parameter *q_norm_ = nullptr, *k_norm_ = nullptr, *attention_norm_, *mlp_norm_;
  Parameter *alpha_p_ = nullptr, *alpha_n_ = nullptr, *beta_ = nullptr, *eps_ = nullptr;  ///< xIELU's
};

}  // namespace multimeditron
