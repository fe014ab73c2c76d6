#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "data/sample.h"
#include "models/vision/clip_model.h"

namespace multimeditron {

/// Texts as ClipModel::embed_texts takes them.
struct TextBatch {
  at::Tensor input_ids, ends;  ///< [N, L], [N]
};

/// The samples' first images: [N, 3, H, W].
at::Tensor stack_pixels(std::span<const Sample> samples, const ClipModel& model);
/// Texts of several lengths; what stands behind a text's end is never looked at.
TextBatch stack_texts(std::span<const std::vector<int64_t>> texts, const ClipModel& model);

}  // namespace multimeditron
