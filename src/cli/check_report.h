#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace multimeditron {

/// {message, where, found, fix}
Json to_json(const UserError& error);

/// What `check --json` says of one recipe: {recipe, ok, errors} and, of one that could be read, {warnings, notes, fingerprint, missing}.
Json report_of(const std::string& file, std::span<const UserError> errors);
template <typename AnyRecipe>
Json report_of(const AnyRecipe& recipe, const std::vector<std::string>& missing, std::span<const UserError> errors) {
  Json report = report_of(recipe.file.string(), errors);
  report["warnings"] = recipe.warnings;
  report["notes"] = recipe.notes;
  report["fingerprint"] = recipe.fingerprint;
  report["missing"] = missing;
  return report;
}

/// {ok, errors, recipes}; of a single recipe also its own keys.
Json whole_report(const Json& recipes);

/// "recipe.yaml: ok", or what this machine lacks.
std::string verdict(const std::string& file, const std::vector<std::string>& missing);

/// Appends an error, or each of several.
void append(std::vector<UserError>& errors, const UserError& error);

}  // namespace multimeditron
