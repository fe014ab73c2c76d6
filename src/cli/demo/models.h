#pragma once

#include <cstdint>
#include <filesystem>

namespace multimeditron::demo {

/// Width of the small language model: `token_size` and `hidden_size` of the recipes.
inline constexpr int64_t kHiddenSize = 128;

/// Writes a Qwen3 folder (config.json, model.safetensors) with random weights around the tokenizer that `folder` already holds.
void write_language_model(const std::filesystem::path& folder, uint64_t seed);

/// Writes a CLIP vision tower's folder (config.json, model.safetensors, preprocessor_config.json) with random weights that nevertheless
/// see: the filters of its patch embedding are random mixtures of the lowest spatial frequencies.
void write_vision_tower(const std::filesystem::path& folder, uint64_t seed);

}  // namespace multimeditron::demo
