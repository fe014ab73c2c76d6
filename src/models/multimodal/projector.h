#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "models/module.h"

namespace multimeditron {

/// MLP between encoder width D and the LLM's width H: Linear(D, D) GELU Linear(D, H) GELU Linear(H, H), with biases and exact GELU.
class Projector : public Module {
 public:
  Projector(int64_t input_size, int64_t hidden_size);
  /// [..., D] -> [..., H]
  at::Tensor forward(const at::Tensor& features) const;
  /// N(0, 0.02) weights, zero biases.
  void initialise(uint64_t seed);

 private:
  Parameter* weights_[3];
  Parameter* biases_[3];
};

}  // namespace multimeditron
