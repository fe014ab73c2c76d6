#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "cli/demo/stages.h"

namespace multimeditron::demo {

/// Width of the small language model: `token_size` and `hidden_size` of the recipes.
inline constexpr int64_t kHiddenSize = 128;

/// Writes a language model (config.json, model.safetensors) with random weights around the tokenizer that `folder` already holds.
/// `model_type`: qwen3, or llama with Llama 3's rope scaling and a head of its own.
void write_language_model(const std::filesystem::path& folder, const std::string& model_type, uint64_t seed);

/// What the recipes must say of the language model that `name` (a folder, or an id in the hub's cache) stands for. Throws UserError: no
/// such folder, an architecture or chat format that is not known here.
LanguageModel read_language_model(const std::string& name);

/// Writes a CLIP folder without weights (config.json, preprocessor_config.json, the tokenizer of `tokenizer_folder`): the architecture that
/// `train-expert` draws and trains.
void write_clip(const std::filesystem::path& folder, const std::filesystem::path& tokenizer_folder);

}  // namespace multimeditron::demo
