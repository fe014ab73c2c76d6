#pragma once

#include <filesystem>
#include <string>

#include "models/multimodal/model.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// Reads the config.json of a multimodal checkpoint, ours or the original's. Ours carries the configs of its parts (`llm_config`, and in
/// each modality `clip_config` and `image_processor_config`); the original's names them by path (`llm_path`, `clip_name`), looked for as
/// base/hub.h says, and last where `fallback` names them: the recipe's base_llm and modalities.
struct CheckpointParts {
  std::string llm;
  std::vector<ModalitySpec> modalities;
  std::filesystem::path relative_to;
};
ModelConfig read_checkpoint_config(const Json& json, const std::filesystem::path& folder, const CheckpointParts& fallback);

/// The config.json of a checkpoint: the original's keys, and ours that make it self-contained. Of a model without modalities: the LLM's
/// own.
Json write_checkpoint_config(const ModelConfig& config, const std::string& dtype, const Tokenizer& tokenizer);

/// The name under which this program knows a tensor of a checkpoint: earlier versions of the original used other prefixes
/// (`modalities.k.`, `modalities.k.modality.feature_extractor.`, `modalities.k.projection.`). In WeightFile's notation.
std::string canonical_tensor_name(const std::string& name);

}  // namespace multimeditron
