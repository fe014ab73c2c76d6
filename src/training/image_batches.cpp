#include "training/image_batches.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

namespace multimeditron {

at::Tensor pixels_of(std::span<const Sample> samples, int64_t side) {
  const at::Tensor pixels = at::empty({static_cast<int64_t>(samples.size()), 3, side, side}, at::kFloat);
  auto* next = pixels.mutable_data_ptr<float>();
  for (const Sample& sample : samples) next = std::copy(sample.images[0].pixel_values.begin(), sample.images[0].pixel_values.end(), next);
  return pixels;
}

void for_each_batch(const SampleSource& source, const Dataset& dataset, const std::vector<int64_t>& rows, int64_t batch_size, int threads,
                    Quarantine& quarantine, const std::function<void(std::span<const Sample>)>& body) {
  const auto count = static_cast<int64_t>(rows.size()), batches = (count + batch_size - 1) / batch_size;
  const auto rows_of = [&](int64_t number) {
    const auto first = rows.begin() + number * batch_size;
    return std::vector<int64_t>(first, first + std::min(batch_size, rows.end() - first));
  };
  Loader loader(source, dataset, {rows_of, 0, batches}, {threads}, quarantine);
  const at::NoGradGuard no_grad;
  for (int64_t i = 0; i < batches; ++i) {
    const SampleBatch batch = loader.next();
    if (!batch.samples.empty()) body(batch.samples);
  }
}

}  // namespace multimeditron
