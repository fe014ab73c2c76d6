#pragma once

#include <ATen/core/Tensor.h>

#include "models/kernels/kernels.h"

namespace multimeditron {

/// xIELU (arXiv:2411.13010) with its trained and fixed numbers, as transformers' XIELUActivation:
///   x > 0: ap x^2 + beta x;  else an (expm1(min(x, eps)) - x) + beta x;  ap = softplus(alpha_p), an = beta + softplus(alpha_n)
/// `alpha_p`, `alpha_n`: [1]; `beta`, `eps`: []. All arithmetic is in float32.
kernels::Xielu xielu_numbers(const at::Tensor& alpha_p, const at::Tensor& alpha_n, const at::Tensor& beta, const at::Tensor& eps);

/// `x`: [rows, dim]. Returns the same shape.
at::Tensor xielu(const at::Tensor& x, const kernels::Xielu& activation);

/// Overwrites `x` with its gradient. Returns the gradients of ap and an, float64 [2]; xielu_alpha_gradient leads on to the parameters.
at::Tensor xielu_backward_(at::Tensor& x, const at::Tensor& grad_out, const kernels::Xielu& activation);

/// softplus' = sigmoid: the gradient of the parameter `alpha` [1], float32, from that of its softplus.
at::Tensor xielu_alpha_gradient(const at::Tensor& alpha, const at::Tensor& grad);

}  // namespace multimeditron
