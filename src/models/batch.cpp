#include "models/batch.h"

#include <ATen/ops/empty.h>

#include <unordered_map>

namespace multimeditron {

MicroBatch make_micro_batch(std::span<const Sample> samples, int64_t image_height, int64_t image_width) {
  MicroBatch batch;
  std::vector<const ImageInput*> images;
  std::unordered_map<uint64_t, int64_t> known;
  for (const Sample& sample : samples) {
    const int64_t start = batch.layout.num_tokens(), length = static_cast<int64_t>(sample.text.input_ids.size());
    batch.layout.cu_seqlens.push_back(start + length);
    batch.samples.push_back(sample.index);
    for (int64_t t = 0; t + 1 < length; ++t) {
      if (sample.text.labels[t + 1] < 0) continue;
      batch.label_rows.push_back(start + t);
      batch.targets.push_back(sample.text.labels[t + 1]);
    }
    for (size_t i = 0; i < sample.images.size(); ++i) {
      const auto [entry, inserted] = known.try_emplace(sample.images[i].content_hash, static_cast<int64_t>(images.size()));
      if (inserted) images.push_back(&sample.images[i]);
      batch.image_of.push_back(entry->second);
      for (int64_t t = sample.text.image_ranges[i].start; t < sample.text.image_ranges[i].end; ++t) batch.placeholders.push_back(start + t);
    }
  }
  batch.input_ids = at::empty({batch.num_tokens()}, at::kLong);
  auto* ids = batch.input_ids.mutable_data_ptr<int64_t>();
  for (const Sample& sample : samples) ids = std::copy(sample.text.input_ids.begin(), sample.text.input_ids.end(), ids);
  if (!images.empty()) {
    batch.pixel_values = at::empty({static_cast<int64_t>(images.size()), 3, image_height, image_width}, at::kFloat);
    auto* pixels = batch.pixel_values.mutable_data_ptr<float>();
    for (const ImageInput* image : images) pixels = std::copy(image->pixel_values.begin(), image->pixel_values.end(), pixels);
  }
  return batch;
}

}  // namespace multimeditron
