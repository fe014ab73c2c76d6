#include "training/gate_batches.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

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

at::Tensor pixels_of(std::span<const Sample> samples, int64_t side) {
  const at::Tensor pixels = at::empty({static_cast<int64_t>(samples.size()), 3, side, side}, at::kFloat);
  auto* next = pixels.mutable_data_ptr<float>();
  for (const Sample& sample : samples) next = std::copy(sample.images[0].pixel_values.begin(), sample.images[0].pixel_values.end(), next);
  return pixels;
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

void for_each_batch(const LabelledImages& images, const std::vector<int64_t>& rows, int64_t batch_size, int threads, Quarantine& quarantine,
                    const std::function<void(std::span<const Sample>)>& body) {
  const auto count = static_cast<int64_t>(rows.size()), batches = (count + batch_size - 1) / batch_size;
  const auto rows_of = [&](int64_t number) {
    const auto first = rows.begin() + number * batch_size;
    return std::vector<int64_t>(first, first + std::min(batch_size, rows.end() - first));
  };
  Loader loader(images, images, {rows_of, 0, batches}, {threads}, quarantine);
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < batches; ++i) {
    const SampleBatch batch = loader.next();
    if (!batch.samples.empty()) body(batch.samples);
  }
}

}  // namespace multimeditron
