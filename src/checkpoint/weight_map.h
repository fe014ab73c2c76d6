#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace multimeditron {

/// The index of a model in several files (`*.index.json`): tensor -> file beside it. Throws UserError where it is malformed.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index);

/// The files that it names, each once. Throws UserError where one is missing.
std::vector<std::filesystem::path> files_of(const std::map<std::string, std::string>& weight_map, const std::filesystem::path& index);

/// For a tensor that is not in the file that the index names.
UserError missing_tensor(const std::filesystem::path& index, const std::string& tensor, const std::string& file);

}  // namespace multimeditron
