#pragma once

#include "recipe/node.h"
#include "recipe/reader.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// Looks at `training_args.deepspeed` (`value`: its node): a note that it is not needed, a warning where the file is missing or contradicts
/// the recipe, a mistake where it is no JSON object. A relative path starts from the working directory, then from the recipe's folder.
void check_deepspeed(const Recipe& recipe, const Node& value, Reader& reader);

}  // namespace multimeditron
