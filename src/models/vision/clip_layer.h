#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "models/module.h"

namespace multimeditron {

/// Sizes that CLIP's two towers share.
struct ClipLayerConfig {
  int64_t hidden_size = 0, intermediate_size = 0, num_attention_heads = 0;
  double layer_norm_eps = 1e-5;
  std::string hidden_act = "quick_gelu";  ///< quick_gelu (OpenAI's), gelu (LAION's)
};

/// A pre-norm block of CLIP's transformers (arXiv:2103.00020) under the names of transformers' `CLIPEncoderLayer`. A plain composition of
/// ATen operations: differentiable where its parameters are.
class ClipLayer : public Module {
 public:
  explicit ClipLayer(const ClipLayerConfig& config);
  /// [N, tokens, hidden_size] -> the same shape. `causal`: a token sees itself and those before it (the text tower).
  at::Tensor forward(const at::Tensor& x, bool causal) const;

 private:
  ClipLayerConfig config_;
  Parameter *norm1_weight_, *norm1_bias_, *norm2_weight_, *norm2_bias_;
  Parameter *q_weight_, *q_bias_, *k_weight_, *k_bias_, *v_weight_, *v_bias_, *out_weight_, *out_bias_;
  Parameter *fc1_weight_, *fc1_bias_, *fc2_weight_, *fc2_bias_;
};

}  // namespace multimeditron
