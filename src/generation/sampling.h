#pragma once

#include <cstdint>
#include <span>

namespace multimeditron {

/// How the next token is chosen from its logits.
struct SamplingOptions {
  double temperature = 0;  ///< 0: greedy, ties go to the lower id
  int64_t top_k = 0;       ///< draw from so many likeliest tokens; 0: all
  double top_p = 1;        ///< draw from the likeliest tokens that together reach this share (arXiv:1904.09751)
  uint64_t seed = 0;
};

/// A token chosen, and by how much the best logit exceeds the second best.
struct Choice {
  int64_t id = 0;
  float margin = 0;  ///< infinite where there is one token only
};

/// Chooses from `logits` (one row, [vocab_size]). A draw depends on the logits, the seed, the sequence's number and the step alone, so a
/// sequence is the same in any batch. Temperature comes first, then top_k, then top_p, as in transformers.
Choice choose_token(std::span<const float> logits, const SamplingOptions& options, uint64_t sequence, uint64_t step);

}  // namespace multimeditron
