#include "models/vision/attend.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/upsample_bicubic2d.h>

#include <cmath>
#include <limits>

namespace multimeditron {

at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  // At the lengths of images and captions, LibTorch's fused kernel spends its time on thousands of small products in bfloat16: three large
  // ones take a third of it (docs/performance.md). In float32 it is the faster one.
  if (q.scalar_type() != at::kBFloat16 || !q.is_cpu()) return at::scaled_dot_product_attention(q, k, v, std::nullopt, 0.0, causal);
  at::Tensor scores = at::matmul(q * (1 / std::sqrt(static_cast<double>(q.size(-1)))), k.transpose(-1, -2));
  if (causal) {
    const int64_t tokens = q.size(-2);
    scores = scores.masked_fill(at::ones({tokens, tokens}, at::kBool).triu(1), -std::numeric_limits<double>::infinity());
  }
  return at::matmul(scores.softmax(-1), v);
}

at::Tensor interpolate_positions(const at::Tensor& positions, int64_t new_side) {
  const int64_t count = positions.size(0) - 1, width = positions.size(1), side = std::llround(std::sqrt(static_cast<double>(count)));
  if (side == new_side) return positions;
  const at::Tensor grid = positions.narrow(0, 1, count).view({1, side, side, width}).permute({0, 3, 1, 2});
  const at::Tensor resized = at::upsample_bicubic2d(grid.to(at::kFloat), at::IntArrayRef({new_side, new_side}), false);
  const at::Tensor rows = resized.permute({0, 2, 3, 1}).reshape({new_side * new_side, width}).to(positions.scalar_type());
  return at::cat({positions.narrow(0, 0, 1), rows}, 0);
}

at::Tensor patches_of(const at::Tensor& pixel_values, int64_t patch) {
  const int64_t images = pixel_values.size(0), side = pixel_values.size(2) / patch;
  return pixel_values.view({images, 3, side, patch, side, patch}).permute({0, 2, 4, 1, 3, 5}).reshape({images, side * side, -1});
}

}  // namespace multimeditron
