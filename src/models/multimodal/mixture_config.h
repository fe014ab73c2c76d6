#pragma once

#include "models/config_reader.h"
#include "models/multimodal/modality_config.h"

namespace multimeditron {

// What modality_config.h does, for mixtures.

ModalityParts read_mixture(const ModalitySpec& spec, const std::filesystem::path& near, const std::string& key);

/// Adds the keys that mixtures alone have, and the configurations that they stand for.
void read_mixture_config(const ConfigReader& reader, const Json& json, const CheckpointContext& context, ModalityConfig& config);
Json write_mixture_keys(const ModalityConfig& config);

/// Checks that experts, gate and fusion fit each other, and finds each expert's class. Throws UserError.
void settle_mixture(ModalityConfig& config, const std::string& where);

}  // namespace multimeditron
