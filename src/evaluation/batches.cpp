#include "evaluation/batches.h"

#include <algorithm>

namespace multimeditron {
namespace {

/// A batch while it grows. An image counts once a run of equal neighbours.
struct Batch {
  int64_t prompts = 0, tokens = 0, longest = 0, images = 0;

  void add(const PromptSize& prompt, bool is_new_image) {
    ++prompts;
    tokens += prompt.tokens;
    longest = std::max(longest, prompt.tokens);
    if (is_new_image) images += prompt.num_images;
  }

  bool fits(const BatchLimits& limits) const {
    const double cached = static_cast<double>(prompts) * (static_cast<double>(longest) + static_cast<double>(limits.new_tokens));
    const double bytes = limits.bytes_per_cached_token * cached + limits.bytes_per_prompt_token * static_cast<double>(tokens) +
                         limits.bytes_per_prompt * static_cast<double>(prompts) + limits.bytes_per_image * static_cast<double>(images);
    return prompts <= limits.max_prompts && bytes <= limits.max_bytes;
  }
};

Batch with(Batch batch, std::span<const PromptSize> prompts) {
  for (size_t i = 0; i < prompts.size(); ++i) batch.add(prompts[i], i == 0 || prompts[i].image != prompts[i - 1].image);
  return batch;
}

}  // namespace

std::vector<std::pair<size_t, size_t>> plan_batches(std::span<const PromptSize> prompts, const BatchLimits& limits) {
  std::vector<std::pair<size_t, size_t>> batches;
  size_t first = 0, next = 0;
  Batch batch;
  const auto close = [&] {
    if (next > first) batches.emplace_back(first, next);
    first = next;
    batch = {};
  };
  while (next < prompts.size()) {
    size_t end = next + 1;  // of the run of prompts on the same image
    while (end < prompts.size() && !prompts[next].image.empty() && prompts[end].image == prompts[next].image) ++end;
    if (const Batch larger = with(batch, prompts.subspan(next, end - next)); larger.fits(limits)) {
      batch = larger;
      next = end;
      continue;
    }
    if (batch.prompts > 0) {
      close();
      continue;
    }
    // Too many on one image for one batch: as many as fit, at least one.
    while (next < end && (batch.prompts == 0 || with(batch, prompts.subspan(next, 1)).fits(limits))) {
      batch.add(prompts[next], batch.prompts == 0);
      ++next;
    }
    close();
  }
  close();
  return batches;
}

}  // namespace multimeditron
