#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <string>

#include "cli/command.h"

namespace multimeditron {

/// What `--model` names: a checkpoint, a run (its newest checkpoint) or a model in the hub cache. Throws UserError.
std::filesystem::path find_model(const std::string& name);

/// Whether it has a vision encoder, by its config.json. Throws UserError where it is no model at all, but an encoder or a gate.
bool takes_images(const std::filesystem::path& checkpoint);

/// The precision that `--dtype` asks for.
at::ScalarType dtype_for(GenerateCommand::Dtype dtype, const std::filesystem::path& checkpoint);

}  // namespace multimeditron
