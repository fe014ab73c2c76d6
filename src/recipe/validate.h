#pragma once

#include "recipe/expert_recipe.h"
#include "recipe/reader.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// Checks what one field alone does not tell, completes defaults that depend on other fields, and reports to `reader`. Looks at no file.
void validate(Recipe& recipe, Reader& reader);
void validate(ExpertRecipe& recipe, Reader& reader);

}  // namespace multimeditron
