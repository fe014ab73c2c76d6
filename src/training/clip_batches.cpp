#include "training/clip_batches.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>

namespace multimeditron {

TextBatch stack_texts(std::span<const std::vector<int64_t>> texts, const ClipModel& model) {
  const auto count = static_cast<int64_t>(texts.size());
  size_t longest = 0;
  for (const std::vector<int64_t>& text : texts) longest = std::max(longest, text.size());
  TextBatch batch{.input_ids = at::full({count, static_cast<int64_t>(longest)}, 0, at::kLong), .ends = at::empty({count}, at::kLong)};
  auto* ids = batch.input_ids.mutable_data_ptr<int64_t>();
  auto* ends = batch.ends.mutable_data_ptr<int64_t>();
  for (const std::vector<int64_t>& text : texts) {
    std::copy(text.begin(), text.end(), ids);
    ids += longest;
    *ends++ = model.text().config().end_of(text);
  }
  return batch;
}

}  // namespace multimeditron
