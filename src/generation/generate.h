#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/sample.h"
#include "generation/sampling.h"
#include "models/multimodal/model.h"

namespace multimeditron {

struct GenerationOptions {
  int64_t max_new_tokens = 256;  ///< a sequence ends earlier where the model has no position left for it
  SamplingOptions sampling;
  std::vector<int64_t> stop_ids;  ///< any of these ends a sequence
};

/// What was added to one prompt.
struct Generation {
  std::vector<int64_t> ids;    ///< the stop token included, where one came
  std::vector<float> margins;  ///< of each id's step: best logit minus second best
  bool stopped = false;        ///< by a stop token; else by max_new_tokens or by the model's last position
  double first_token_s = 0;    ///< from the call to this sequence's first token
};

/// Continues prompts of any lengths as one batch. `prompts`: samples whose text ends where the answer begins. A prompt's `index` names its
/// stream of random draws, so that it gets the same answer alone or among others. `on_token` (may be empty) is called for each new token
/// as it is chosen, with the prompt's place in `prompts`. Throws UserError where the weights give no numbers.
std::vector<Generation> generate(MultimodalModel& model, std::span<const Sample> prompts, const GenerationOptions& options,
                                 const std::function<void(size_t prompt, int64_t id)>& on_token = {});

}  // namespace multimeditron
