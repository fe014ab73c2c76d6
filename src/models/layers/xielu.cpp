#include "models/layers/xielu.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros.h>

#include "models/layers/cpu_types.h"

namespace multimeditron {

kernels::Xielu xielu_numbers(const at::Tensor& alpha_p, const at::Tensor& alpha_n, const at::Tensor& beta, const at::Tensor& eps) {
  const auto softplus = [](const at::Tensor& alpha) { return at::softplus(alpha.to(at::kFloat)).item<float>(); };
  const float beta_value = beta.item<float>();
  return {.alpha_p = softplus(alpha_p), .alpha_n = beta_value + softplus(alpha_n), .beta = beta_value, .eps = eps.item<float>()};
}

at::Tensor xielu(const at::Tensor& x, const kernels::Xielu& activation) {
  const int64_t rows = x.size(0), dim = x.size(1);
  const at::Tensor out = at::empty_like(x);
  dispatch(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(rows, 4 * dim, [&](int64_t first, int64_t last) {
      kernels::set<T>().xielu(const_pointer<T>(x) + first * dim, pointer<T>(out) + first * dim, last - first, dim, activation);
    });
  });
  return out;
}

at::Tensor xielu_backward_(at::Tensor& x, const at::Tensor& grad_out, const kernels::Xielu& activation) {
  const int64_t rows = x.size(0), dim = x.size(1);
  // Partial sums over fixed blocks of rows: the result does not depend on the number of threads.
  constexpr int64_t kBlock = 16;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  const at::Tensor parts = at::zeros({blocks, 2}, at::kDouble);
  dispatch(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(blocks, 4 * kBlock * dim, [&](int64_t first_block, int64_t last_block) {
      for (int64_t block = first_block; block < last_block; ++block) {
        const int64_t first = block * kBlock, count = std::min(kBlock, rows - first);
        kernels::set<T>().xielu_backward(pointer<T>(x) + first * dim, const_pointer<T>(grad_out) + first * dim, count, dim, activation,
                                         parts.mutable_data_ptr<double>() + 2 * block);
      }
    });
  });
  return parts.sum(0);
}

at::Tensor xielu_alpha_gradient(const at::Tensor& alpha, const at::Tensor& grad) {
  return grad.to(at::kFloat).mul(at::sigmoid(alpha.to(at::kFloat)));
}

}  // namespace multimeditron
