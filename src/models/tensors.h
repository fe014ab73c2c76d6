#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/safetensors.h"

namespace multimeditron {

/// A tensor that shares the view's memory, and the safetensors dtype of a tensor.
at::Tensor to_tensor(const TensorView& view);
DType dtype_of(at::ScalarType type);

}  // namespace multimeditron
