#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/sample.h"
#include "models/layers/attention.h"

namespace multimeditron {

/// The samples of a micro-batch side by side in one row of T tokens: no padding, so no masks. Each sample's positions begin at 0.
struct MicroBatch {
  at::Tensor input_ids;  ///< [T] int64; image placeholders hold the attachment token
  SequenceLayout layout;
  at::Tensor pixel_values;                   ///< [U, 3, H, W] float32: images that differ; undefined without images
  std::vector<int64_t> image_of;             ///< for each image of the batch, its row of pixel_values
  std::vector<int64_t> placeholders;         ///< rows of the batch that the images' embeddings replace, in order, sorted
  std::vector<int64_t> label_rows, targets;  ///< row t predicts targets: those with a label at t + 1 of the same sample
  std::vector<int64_t> samples;              ///< data set rows
  std::optional<uint64_t> dropout_seed;      ///< given in training alone: without one nothing is dropped

  int64_t num_tokens() const { return layout.num_tokens(); }
  int64_t num_labels() const { return static_cast<int64_t>(targets.size()); }
};

/// Lays samples side by side. An image that occurs twice is kept (and encoded) once.
MicroBatch make_micro_batch(std::span<const Sample> samples, int64_t image_height, int64_t image_width);

}  // namespace multimeditron
