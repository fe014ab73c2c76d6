#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "evaluation/task.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron {

/// Where a model looks while it chooses the first token of an answer.
struct AttentionMap {
  std::array<int64_t, 2> grid{};            ///< rows and columns of patches
  std::vector<double> weights;              ///< of the first image's patches, row by row: mean over layers and heads
  std::vector<std::vector<double>> layers;  ///< the same, layer by layer: mean over heads
  double image_share = 0;                   ///< sum of `weights`; the rest goes to the text and to further images
  std::array<double, 4> region{};  ///< the part of the image that the patches cover: left, top, right, bottom as shares of its sides
  std::string token;               ///< the first token of the answer
};

/// The attention of the prompt's last position, which predicts the first token of the answer, to the row's first image, shown as
/// `view` (the task's) says. Weights are probabilities over all positions of the prompt. The row must have an image.
AttentionMap attention_on_image(const Pretrained& pretrained, const TaskRow& row, const VolumeOptions& view = {});

/// Up to `count` rows with images, taken in turn from every kind, and of each kind in an order that `seed` draws; rows on an image that is
/// already shown come last.
std::vector<size_t> rows_to_show(std::span<const TaskRow> rows, int64_t count, uint64_t seed);

/// An entry of attention-TASK.json.
Json to_json(const AttentionMap& map, const TaskRow& row, const std::string& answer);

}  // namespace multimeditron
