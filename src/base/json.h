#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace multimeditron {

/// JSON that keeps the order of its keys: files we write back look like the ones we read.
using Json = nlohmann::ordered_json;

/// Reads a JSON file. Throws UserError naming the file and, for a syntax error, line and column.
Json read_json(const std::filesystem::path& file);

}  // namespace multimeditron
