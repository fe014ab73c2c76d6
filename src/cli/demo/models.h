#pragma once

#include <cstdint>
#include <filesystem>

namespace multimeditron::demo {

/// Width of the small language model: `token_size` and `hidden_size` of the recipes.
inline constexpr int64_t kHiddenSize = 128;

/// Writes a Qwen3 folder (config.json, model.safetensors) with random weights around the tokenizer that `folder` already holds.
void write_language_model(const std::filesystem::path& folder, uint64_t seed);

/// Writes a CLIP folder without weights (config.json, preprocessor_config.json, the tokenizer of `tokenizer_folder`): the architecture that
/// `train-expert` draws and trains.
void write_clip(const std::filesystem::path& folder, const std::filesystem::path& tokenizer_folder);

}  // namespace multimeditron::demo
