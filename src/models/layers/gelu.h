#pragma once

#include <ATen/core/Tensor.h>

namespace multimeditron {

/// GELU (arXiv:1606.08415), exact or CLIP's `quick` x * sigmoid(1.702 x). `x` is given away: it is overwritten where nothing asks for its
/// gradient. Differentiable.
at::Tensor gelu(at::Tensor x, bool quick);

/// x + `branch`, the end of a residual block. `branch` is given away as above. Differentiable.
at::Tensor add_residual(const at::Tensor& x, at::Tensor branch);

}  // namespace multimeditron
