#include "models/layers/swiglu.h"

#include <ATen/ops/empty.h>

#include "models/layers/cpu_types.h"

namespace multimeditron {

at::Tensor swiglu(const at::Tensor& gate_up) {
  const int64_t rows = gate_up.size(0), dim = gate_up.size(1) / 2;
  const at::Tensor out = at::empty({rows, dim}, gate_up.options());
  dispatch(gate_up.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(rows, 4 * dim, [&](int64_t first, int64_t last) {
      kernels::set<T>().swiglu(const_pointer<T>(gate_up) + first * 2 * dim, pointer<T>(out) + first * dim, last - first, dim);
    });
  });
  return out;
}

void swiglu_backward_(at::Tensor& gate_up, const at::Tensor& grad_out) {
  const int64_t rows = gate_up.size(0), dim = gate_up.size(1) / 2;
  dispatch(gate_up.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(rows, 4 * dim, [&](int64_t first, int64_t last) {
      kernels::set<T>().swiglu_backward(pointer<T>(gate_up) + first * 2 * dim, const_pointer<T>(grad_out) + first * dim, last - first, dim);
    });
  });
}

}  // namespace multimeditron
