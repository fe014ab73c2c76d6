#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/sample.h"
#include "image/image.h"
#include "models/multimodal/model.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// A question ready for generate(): one user turn, images first and the text at once behind them, then the assistant's header. `question`
/// and `system` (may be empty) are escaped: they can become neither an attachment nor a role's delimiter. Without a chat template the
/// question stands alone. Throws UserError: images for a model that takes none, more tokens than the model has positions.
Sample make_question(const MultimodalModel& model, const Tokenizer& tokenizer, std::vector<ImageInput> images, const std::string& system,
                     const std::string& question);
/// The same, from images as they were decoded.
Sample make_question(const MultimodalModel& model, const Tokenizer& tokenizer, std::span<const RgbImage> images, const std::string& system,
                     const std::string& question);

/// Throws the UserError of a model that has no encoder for `num_images` images.
[[noreturn]] void refuse_images(size_t num_images);

/// The tokens that end an answer: `eos_token_id` of generation_config.json (else of config.json), the tokenizer's own, and the end of an
/// assistant's turn in the formats of Qwen, Llama and Apertus, so far as the vocabulary has them.
std::vector<int64_t> stop_token_ids(const ModelConfig& config, const Tokenizer& tokenizer);

}  // namespace multimeditron
