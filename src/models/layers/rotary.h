#pragma once

#include <ATen/core/Tensor.h>

#include "models/language/decoder_config.h"

namespace multimeditron {

/// cos and sin of the rotary embedding (arXiv:2104.09864), half-split, float32, for positions [0, size()); grows on demand.
class RotaryTable {
 public:
  explicit RotaryTable(const DecoderConfig& config);

  /// Makes positions [0, positions) available. Not to be called while other threads read.
  void reserve(int64_t positions);
  const float* cos() const { return cos_.const_data_ptr<float>(); }  // [size(), head_dim / 2]
  const float* sin() const { return sin_.const_data_ptr<float>(); }
  int64_t size() const { return cos_.size(0); }

 private:
  at::Tensor inv_freq_, cos_, sin_;
};

}  // namespace multimeditron
