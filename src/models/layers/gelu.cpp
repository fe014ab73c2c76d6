#include "models/layers/gelu.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/sigmoid.h>

#include "models/layers/cpu_types.h"

namespace multimeditron {

at::Tensor gelu(at::Tensor x, bool quick) {
  if (x.requires_grad()) return quick ? x * at::sigmoid(x * 1.702) : at::gelu(x);
  if (!quick) return at::gelu_(x);
  if (!x.is_cpu()) return x.mul_(at::sigmoid(x * 1.702));
  dispatch(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    at::parallel_for(0, x.numel(), 16384, [&](int64_t first, int64_t last) {
      kernels::set<T>().quick_gelu(pointer<T>(x) + first, last - first);
    });
  });
  return x;
}

at::Tensor add_residual(const at::Tensor& x, at::Tensor branch) {
  return x.requires_grad() || branch.requires_grad() ? x + branch : branch.add_(x);
}

}  // namespace multimeditron
