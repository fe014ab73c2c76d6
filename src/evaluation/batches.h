#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace multimeditron {

/// What a prompt needs, as far as batches are planned by it.
struct PromptSize {
  int64_t tokens = 0;  ///< of the prompt itself
  int64_t num_images = 0;
  std::string image;  ///< equal neighbours are answered in one batch where they fit, so that their image is encoded once; empty: none
};

/// How much a batch may hold.
struct BatchLimits {
  int64_t max_prompts = 256;
  double max_bytes = 1 << 30;  ///< of keys and values, activations, logits and pixels together; a single prompt may take more
  int64_t new_tokens = 0;      ///< that each prompt may get
  double bytes_per_cached_token = 0, bytes_per_prompt_token = 0, bytes_per_prompt = 0, bytes_per_image = 0;
};

/// Batches of consecutive prompts: [first, last) of each. The cache of keys and values is as long for all as for the longest.
std::vector<std::pair<size_t, size_t>> plan_batches(std::span<const PromptSize> prompts, const BatchLimits& limits);

}  // namespace multimeditron
