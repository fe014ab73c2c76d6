#pragma once

#include <ATen/core/Tensor.h>

namespace multimeditron {

/// softmax(q k^T / sqrt(head_dim)) v for [N, heads, tokens, head_dim]: the attention of all encoders. `causal`: a token sees itself and
/// those before it. Differentiable.
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal);

/// Position embeddings [1 + side * side, D] (a class token's in front) for a grid of `new_side` patches a side: bicubic, as transformers'
/// `interpolate_pos_encoding`. The same tensor where the grid is the same. Differentiable.
at::Tensor interpolate_positions(const at::Tensor& positions, int64_t new_side);

/// [N, 3, S, S] -> [N, (S / patch)^2, 3 * patch * patch]: a patch convolution, whose stride is its kernel, is a linear layer over these.
at::Tensor patches_of(const at::Tensor& pixel_values, int64_t patch);

}  // namespace multimeditron
