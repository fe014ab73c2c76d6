#pragma once

#include <filesystem>
#include <string>

namespace multimeditron {

/// The folder of a model that a recipe names: a path or hub id, looked for as base/hub.h says; a run's folder stands for its newest whole
/// checkpoint. `key`: the recipe's key, for the message. Throws UserError.
std::filesystem::path find_model_folder(const std::string& name, const std::filesystem::path& relative_to, const std::string& key);

}  // namespace multimeditron
