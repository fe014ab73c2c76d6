#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "models/module.h"

namespace multimeditron {

// How the tokens of several experts become one sequence an image. N images, E experts, P patches, W the width of a token.

/// sum_e weights[n, e] tokens[n, e]: [N, E, P, W], [N, E] -> [N, P, W].
at::Tensor weighted_average(const at::Tensor& tokens, const at::Tensor& weights);

/// Zeroes a share `probability` of what it is given and scales the rest up; draws from a generator of its own, so that the same seed drops
/// the same.
class Dropout {
 public:
  Dropout(double probability, uint64_t seed);
  at::Tensor operator()(const at::Tensor& x);

 private:
  double probability_;
  at::Generator generator_;
};

/// Multi-head attention (arXiv:1706.03762) of one sequence's tokens over another's, without residual or norm. Names: {q,k,v}_proj, proj,
/// all with biases.
class CrossAttention : public Module {
 public:
  CrossAttention(int64_t width, int64_t num_heads);
  /// `queries`: [N, P, W], `keys_values`: [N, K, W] -> [N, P, W]. `dropout` (may be empty) acts on the attention weights and on the output.
  at::Tensor forward(const at::Tensor& queries, const at::Tensor& keys_values, std::optional<Dropout>& dropout) const;
  /// N(0, 0.02) weights, zero biases.
  void initialise(uint64_t seed);

 private:
  struct Linear {
    Parameter *weight, *bias;
  };
  int64_t num_heads_;
  Linear q_, k_, v_, proj_;
};

}  // namespace multimeditron
