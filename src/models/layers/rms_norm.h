#pragma once

#include <ATen/core/Tensor.h>

namespace multimeditron {

/// RMS norm over the last dimension (arXiv:1910.07467). `x`: [rows, dim]; `rstd` ([rows] float32) is written where not null.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor* rstd = nullptr);

/// grad_x += the gradient of x. Returns the weight's gradient (float32 [dim]) where `with_weight`, else an undefined tensor.
at::Tensor rms_norm_backward(const at::Tensor& grad_out, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor& grad_x, bool with_weight);

}  // namespace multimeditron
