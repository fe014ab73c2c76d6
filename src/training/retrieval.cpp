#include "training/retrieval.h"

#include <ATen/ops/matmul.h>

#include <algorithm>
#include <tuple>

namespace multimeditron {
namespace {

constexpr int64_t kFew = 5;

/// Shares of the rows of `similarity` [N, N] where no wrong one, and fewer than five, are as near as the nearest right one. So a CLIP that
/// gives everything the same place, or none, finds nothing.
std::pair<double, double> hits(const at::Tensor& similarity, const std::vector<int64_t>& caption_of) {
  const int64_t count = similarity.size(0);
  const at::Tensor rows = similarity.contiguous();
  const float* row = rows.const_data_ptr<float>();
  int64_t first = 0, among_few = 0;
  for (int64_t i = 0; i < count; ++i, row += count) {
    float best = row[i];
    for (int64_t j = 0; j < count; ++j) {
      if (caption_of[j] == caption_of[i]) best = std::max(best, row[j]);
    }
    int64_t as_near = 0;
    for (int64_t j = 0; j < count; ++j) as_near += caption_of[j] != caption_of[i] && !(row[j] < best);
    first += as_near == 0;
    among_few += as_near < kFew;
  }
  const double share = 1.0 / static_cast<double>(std::max<int64_t>(count, 1));
  return {static_cast<double>(first) * share, static_cast<double>(among_few) * share};
}

}  // namespace

Retrieval measure_retrieval(const at::Tensor& images, const at::Tensor& texts, const std::vector<int64_t>& caption_of) {
  const at::Tensor similarity = at::matmul(images, texts.t());
  Retrieval result{.pairs = similarity.size(0)};
  std::tie(result.image_to_text_r1, result.image_to_text_r5) = hits(similarity, caption_of);
  std::tie(result.text_to_image_r1, result.text_to_image_r5) = hits(similarity.t(), caption_of);
  return result;
}

Json to_json(const Retrieval& retrieval) {
  return {{"pairs", retrieval.pairs},
          {"image_to_text_r1", retrieval.image_to_text_r1},
          {"image_to_text_r5", retrieval.image_to_text_r5},
          {"text_to_image_r1", retrieval.text_to_image_r1},
          {"text_to_image_r5", retrieval.text_to_image_r5}};
}

}  // namespace multimeditron
