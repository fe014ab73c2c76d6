#pragma once

#include <string>

namespace multimeditron {

enum class RecipeKind { kTraining, kExpert, kGate };

/// Every key with its type, default and meaning, as a JSON Schema for editors (`multimeditron schema train-gate`).
std::string recipe_json_schema(RecipeKind kind);

/// The same of all kinds for people: the text of docs/recipe.md (`multimeditron schema --markdown`).
std::string recipe_reference_page();

}  // namespace multimeditron
