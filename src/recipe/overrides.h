#pragma once

#include <string>

#include "recipe/node.h"

namespace multimeditron {

/// Sets one value of the tree from "a.b=1" or "datasets.0.packed_path=x" (an index one past the end adds an item). The value is read as a
/// YAML scalar, or as a list or map where it starts with a bracket or brace. Throws UserError that quotes the override.
void apply_override(Node& root, const std::string& override_text, const Origin& origin);

/// Place of the override with this index on the command line: behind all lines of the file.
Origin override_origin(const std::string& override_text, size_t index);

}  // namespace multimeditron
