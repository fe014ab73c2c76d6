#pragma once

#include <filesystem>
#include <string>

namespace multimeditron {

/// The folder of a model that a recipe names: a path or hub id, looked for as base/hub.h says; a run's folder stands for its newest whole
/// checkpoint. `key`: the recipe's key, for the message. Throws UserError.
std::filesystem::path find_model_folder(const std::string& name, const std::filesystem::path& relative_to, const std::string& key);
/// The same for a gate: of a run of `train-gate`, the best of its epochs.
std::filesystem::path find_gate_folder(const std::string& name, const std::filesystem::path& relative_to, const std::string& key);
/// What is taken of `folder` where it is a run's: its best gate, else its newest whole checkpoint.
std::filesystem::path model_in(const std::filesystem::path& folder);
/// How another program finds what find_model_folder() or find_gate_folder() found as `folder`: a path is made absolute, a hub id stays.
std::string lasting_name(const std::string& name, const std::filesystem::path& relative_to, const std::filesystem::path& folder);

}  // namespace multimeditron
