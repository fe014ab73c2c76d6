#include "generation/decoding.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

namespace multimeditron {
namespace {

/// Positions taken at a time: at 8 billion parameters 256 of them are 32 MB a sequence.
constexpr int64_t kStep = 256;

}  // namespace

DecodingBatch::DecodingBatch(MultimodalModel& model, const MicroBatch& prompts, int64_t max_new_tokens) : model_(model) {
  const int64_t count = prompts.layout.num_sequences();
  int64_t longest = 0;
  for (int64_t s = 0; s < count; ++s) {
    sequences_.push_back(s);
    rows_.push_back(s);
    lengths_.push_back(prompts.layout.length(s));
    longest = std::max(longest, lengths_.back());
  }
  limit_ = longest + std::max<int64_t>(max_new_tokens - 1, 0);  // the last token is never read
  capacity_ = std::min(limit_, longest + kStep);
  cache_ = model.llm().make_cache(count, capacity_);
  logits_ = model.llm().logits(model.llm().prefill(model.embed(prompts, nullptr), prompts.layout, cache_)).to(at::kFloat);
}

void DecodingBatch::append(std::span<const int64_t> tokens) {
  std::vector<int64_t> ids;
  size_t kept = 0;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    if (tokens[i] < 0) continue;
    ids.push_back(tokens[i]);
    sequences_[kept] = sequences_[i];
    rows_[kept] = rows_[i];
    lengths_[kept++] = lengths_[i];
  }
  sequences_.resize(kept);
  rows_.resize(kept);
  lengths_.resize(kept);
  if (kept == 0) {
    logits_ = logits_.narrow(0, 0, 0);
    return;
  }
  grow(*std::max_element(lengths_.begin(), lengths_.end()) + 1);
  const at::Tensor hidden = model_.llm().embed(at::tensor(ids, at::kLong));  // [sequences, hidden_size]
  logits_ = model_.llm().logits(model_.llm().decode(hidden, lengths_, rows_, cache_)).to(at::kFloat);
  for (int64_t& length : lengths_) ++length;
}

void DecodingBatch::grow(int64_t needed) {
  if (needed <= capacity_) return;
  const int64_t filled = capacity_;
  capacity_ = std::max(needed, std::min(limit_, capacity_ + std::max(kStep, capacity_ / 2)));
  // Layer by layer, so that old and new stand side by side for one layer only; rows of sequences that have left stay behind.
  const at::Tensor rows = at::tensor(rows_, at::kLong);
  const auto move = [&](at::Tensor& old) {
    const at::Tensor larger = at::empty({rows.size(0), old.size(1), capacity_, old.size(3)}, old.options());
    larger.narrow(2, 0, filled).copy_(old.index_select(0, rows));
    old = larger;
  };
  for (LayerCache& layer : cache_.layers) {
    move(layer.k);
    move(layer.v);
  }
  for (size_t i = 0; i < rows_.size(); ++i) rows_[i] = static_cast<int64_t>(i);
}

}  // namespace multimeditron
