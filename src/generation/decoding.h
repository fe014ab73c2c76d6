#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/multimodal/model.h"

namespace multimeditron {

/// Sequences that grow together, a token a step, with their keys and values kept: what has been read is never computed again. Each has its
/// own length; one that is done leaves, and the others go on without it.
class DecodingBatch {
 public:
  /// Reads all prompts at once, packed. No sequence may grow past its prompt and `max_new_tokens`; room for that is taken in steps, as it
  /// is needed. `model` must outlive the batch.
  DecodingBatch(MultimodalModel& model, const MicroBatch& prompts, int64_t max_new_tokens);

  /// Numbers of the prompts that are still growing, ascending.
  const std::vector<int64_t>& sequences() const { return sequences_; }
  /// Scores of the next token: float32 [sequences().size(), vocab_size].
  const at::Tensor& logits() const { return logits_; }
  /// Appends `tokens[i]` to sequences()[i], or ends that sequence where it is negative. Then logits() are those of the step after.
  void append(std::span<const int64_t> tokens);
  /// Positions that there is room for in the cache.
  int64_t capacity() const { return capacity_; }

 private:
  void grow(int64_t needed);

  MultimodalModel& model_;
  KvCache cache_;
  int64_t capacity_ = 0, limit_ = 0;
  std::vector<int64_t> sequences_, rows_, lengths_;  // of the growing ones: prompt, row in the cache, tokens in the cache
  at::Tensor logits_;
};

}  // namespace multimeditron
