#include "training/gate_batches.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

namespace multimeditron {

at::Tensor GateFeatures::take(std::span<const int64_t> rows, std::vector<int64_t>& found) const {
  std::vector<int64_t> places;
  for (const int64_t row : rows) {
    const auto entry = place.find(row);
    if (entry == place.end()) continue;
    found.push_back(row);
    places.push_back(entry->second);
  }
  return places.empty() ? at::Tensor() : at::index_select(values, 0, at::tensor(places, at::kLong));
}

at::Tensor labels_of(const LabelledImages& images, std::span<const int64_t> numbers) {
  std::vector<int64_t> labels;
  for (const int64_t number : numbers) labels.push_back(images.label(number));
  return at::tensor(labels, at::kLong);
}

std::vector<int64_t> numbers_of(std::span<const Sample> samples) {
  std::vector<int64_t> numbers;
  for (const Sample& sample : samples) numbers.push_back(sample.index);
  return numbers;
}

}  // namespace multimeditron
