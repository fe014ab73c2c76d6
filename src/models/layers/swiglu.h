#pragma once

#include <ATen/core/Tensor.h>

namespace multimeditron {

/// silu(gate) * up (arXiv:2002.05202). `gate_up`: [rows, 2 * dim], gate first. Returns [rows, dim].
at::Tensor swiglu(const at::Tensor& gate_up);

/// Overwrites `gate_up` with its gradient. `grad_out`: [rows, dim].
void swiglu_backward_(at::Tensor& gate_up, const at::Tensor& grad_out);

}  // namespace multimeditron
