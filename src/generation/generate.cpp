#include "generation/generate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "generation/decoding.h"

namespace multimeditron {

std::vector<Generation> generate(MultimodalModel& model, std::span<const Sample> prompts, const GenerationOptions& options,
                                 const std::function<void(size_t prompt, int64_t id)>& on_token) {
  std::vector<Generation> results(prompts.size());
  if (prompts.empty() || options.max_new_tokens <= 0) return results;
  const auto start = std::chrono::steady_clock::now();
  DecodingBatch batch(model, make_micro_batch(prompts, model.image_size(), model.image_size()), options.max_new_tokens);
  for (int64_t step = 0; step < options.max_new_tokens; ++step) {
    const int64_t vocab_size = batch.logits().size(1);
    const float* logits = batch.logits().const_data_ptr<float>();
    std::vector<int64_t> tokens;
    for (const int64_t sequence : batch.sequences()) {
      Generation& result = results[static_cast<size_t>(sequence)];
      const auto stream = static_cast<uint64_t>(prompts[static_cast<size_t>(sequence)].index);
      const Choice choice = choose_token({logits, static_cast<size_t>(vocab_size)}, options.sampling, stream, static_cast<uint64_t>(step));
      logits += vocab_size;
      if (std::isnan(choice.margin))
        throw UserError("the model's scores are not numbers",
                        {.fix = "check the checkpoint (a run that diverged writes such weights), or try another precision"});
      if (step == 0) result.first_token_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      result.ids.push_back(choice.id);
      result.margins.push_back(choice.margin);
      result.stopped = std::find(options.stop_ids.begin(), options.stop_ids.end(), choice.id) != options.stop_ids.end();
      if (on_token) on_token(static_cast<size_t>(sequence), choice.id);
      tokens.push_back(result.stopped ? -1 : choice.id);
    }
    const bool all_done = std::all_of(tokens.begin(), tokens.end(), [](int64_t token) { return token < 0; });
    if (all_done || step + 1 == options.max_new_tokens) break;
    batch.append(tokens);
  }
  return results;
}

}  // namespace multimeditron
