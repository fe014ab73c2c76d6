#include "training/retrieval.h"

#include <ATen/ops/matmul.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
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
  Retrieval result{.pairs = similarity.size(0), .captions = static_cast<int64_t>(std::set(caption_of.begin(), caption_of.end()).size())};
  std::tie(result.image_to_text_r1, result.image_to_text_r5) = hits(similarity, caption_of);
  std::tie(result.text_to_image_r1, result.text_to_image_r5) = hits(similarity.t(), caption_of);
  return result;
}

std::string describe(const Retrieval& retrieval) {
  const auto percent = [](double share) { return fmt::format("{:.0f} %", 100 * share); };
  const double chance = 1.0 / static_cast<double>(std::max<int64_t>(retrieval.captions, 1));
  std::string text = fmt::format(
      "{} pairs held out, {} different captions: an image's caption is first for {}, a caption's image for {} (by chance {})",
      retrieval.pairs, retrieval.captions, percent(retrieval.image_to_text_r1), percent(retrieval.text_to_image_r1), percent(chance));
  if (retrieval.captions > kFew)
    text += fmt::format("; among five for {} and {}", percent(retrieval.image_to_text_r5), percent(retrieval.text_to_image_r5));
  return text;
}

Json to_json(const Retrieval& retrieval) {
  return {{"pairs", retrieval.pairs},
          {"captions", retrieval.captions},
          {"image_to_text_r1", retrieval.image_to_text_r1},
          {"image_to_text_r5", retrieval.image_to_text_r5},
          {"text_to_image_r1", retrieval.text_to_image_r1},
          {"text_to_image_r5", retrieval.text_to_image_r5}};
}

}  // namespace multimeditron
