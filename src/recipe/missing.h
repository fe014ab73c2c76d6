#pragma once

#include <string>
#include <vector>

#include "recipe/expert_recipe.h"
#include "recipe/gate_recipe.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// What a recipe names and this machine lacks: models, gates, data sets, folders of images, a line each
/// ("modalities.0.clip_name: openai/clip-vit-base-patch32"); "weights of KEY: NAME" where a model's folder has none. No file is opened.
std::vector<std::string> missing_parts(const Recipe& recipe);
std::vector<std::string> missing_parts(const ExpertRecipe& recipe);
std::vector<std::string> missing_parts(const GateRecipe& recipe);

}  // namespace multimeditron
