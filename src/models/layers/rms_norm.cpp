#include "models/layers/rms_norm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "models/layers/cpu_types.h"

namespace multimeditron {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor* rstd) {
  const int64_t rows = x.size(0), dim = x.size(1);
  const at::Tensor out = at::empty_like(x);
  float* rstd_pointer = nullptr;
  if (rstd != nullptr) {
    *rstd = at::empty({rows}, at::kFloat);
    rstd_pointer = rstd->mutable_data_ptr<float>();
  }
  dispatch(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(rows, dim, [&](int64_t first, int64_t last) {
      kernels::set<T>().rms_norm(const_pointer<T>(x) + first * dim, const_pointer<T>(weight), pointer<T>(out) + first * dim,
                                 rstd_pointer == nullptr ? nullptr : rstd_pointer + first, last - first, dim, static_cast<float>(eps));
    });
  });
  return out;
}

at::Tensor rms_norm_backward(const at::Tensor& grad_out, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor& grad_x, bool with_weight) {
  const int64_t rows = x.size(0), dim = x.size(1);
  // Partial sums over fixed blocks of rows, so that the result does not depend on the number of threads.
  constexpr int64_t kBlock = 64;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  const at::Tensor parts = with_weight ? at::zeros({blocks, dim}, at::kFloat) : at::Tensor();
  dispatch(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(blocks, kBlock * dim, [&](int64_t first_block, int64_t last_block) {
      for (int64_t block = first_block; block < last_block; ++block) {
        const int64_t first = block * kBlock, count = std::min(kBlock, rows - first);
        kernels::set<T>().rms_norm_backward(const_pointer<T>(grad_out) + first * dim, const_pointer<T>(x) + first * dim,
                                            rstd.const_data_ptr<float>() + first, const_pointer<T>(weight),
                                            pointer<T>(grad_x) + first * dim,
                                            with_weight ? parts.mutable_data_ptr<float>() + block * dim : nullptr, count, dim);
      }
    });
  });
  return with_weight ? parts.sum(0) : at::Tensor();
}

}  // namespace multimeditron
