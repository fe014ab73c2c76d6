#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/vision/clip_model.h"

namespace multimeditron {

/// Texts as ClipModel::embed_texts takes them.
struct TextBatch {
  at::Tensor input_ids, ends;  ///< [N, L], [N]
};

/// Texts of several lengths; what stands behind a text's end is never looked at.
TextBatch stack_texts(std::span<const std::vector<int64_t>> texts, const ClipModel& model);

}  // namespace multimeditron
