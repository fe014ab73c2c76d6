#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace multimeditron {

/// Share of the images whose own caption is the most similar one, or among the five most similar; and of the captions likewise.
struct Retrieval {
  int64_t pairs = 0, captions = 0;  ///< different captions
  double image_to_text_r1 = 0, image_to_text_r5 = 0, text_to_image_r1 = 0, text_to_image_r5 = 0;
};

/// `images`, `texts`: [N, width] unit vectors, row i of both is a pair. Pairs with the same number in `caption_of` have the same caption:
/// any of them is right.
Retrieval measure_retrieval(const at::Tensor& images, const at::Tensor& texts, const std::vector<int64_t>& caption_of);
Json to_json(const Retrieval& retrieval);

/// The summary's line: how often the right one is first, and among five where there are more than five to choose from, beside chance.
std::string describe(const Retrieval& retrieval);

}  // namespace multimeditron
