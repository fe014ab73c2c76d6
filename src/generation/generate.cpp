#include "generation/generate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "generation/decoding.h"

namespace multimeditron {
namespace {

/// How many tokens each prompt may get: as many as the model has positions behind it. One there always is: it is chosen behind the prompt.
std::vector<int64_t> rooms(const MultimodalModel& model, std::span<const Sample> prompts, int64_t max_new_tokens) {
  const int64_t positions = model.config().llm.max_position_embeddings;
  std::vector<int64_t> result;
  for (const Sample& prompt : prompts) {
    const int64_t left = positions - static_cast<int64_t>(prompt.text.input_ids.size());
    result.push_back(positions > 0 ? std::clamp<int64_t>(left, 1, max_new_tokens) : max_new_tokens);
  }
  return result;
}

}  // namespace

std::vector<Generation> generate(MultimodalModel& model, std::span<const Sample> prompts, const GenerationOptions& options,
                                 const std::function<void(size_t prompt, int64_t id)>& on_token) {
  std::vector<Generation> results(prompts.size());
  if (prompts.empty() || options.max_new_tokens <= 0) return results;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<int64_t> room = rooms(model, prompts, options.max_new_tokens);
  const int64_t longest = *std::max_element(room.begin(), room.end());
  DecodingBatch batch(model, make_micro_batch(prompts, model.image_size(), model.image_size()), longest);
  for (int64_t step = 0; step < longest; ++step) {
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
      const bool full = step + 1 == room[static_cast<size_t>(sequence)];
      tokens.push_back(result.stopped || full ? -1 : choice.id);
    }
    const bool all_done = std::all_of(tokens.begin(), tokens.end(), [](int64_t token) { return token < 0; });
    if (all_done) break;
    batch.append(tokens);
  }
  return results;
}

}  // namespace multimeditron
