#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "recipe/effective.h"
#include "recipe/table.h"

namespace multimeditron {

/// Reads a YAML file, applies the overrides and expands variables; mistakes go to `reader`. Throws UserError for what is no map at all.
Node read_yaml_file(const std::filesystem::path& file, std::span<const std::string> overrides, Reader& reader);

/// Throws the mistakes that `reader` holds, if any, with its warnings shown before.
void throw_mistakes(const Reader& reader);

/// A recipe of kind `S` (table<S>() lists its keys): read, checked by `check`, and with its effective form and fingerprint.
template <class S>
S load_yaml(const std::filesystem::path& file, std::span<const std::string> overrides,
            const std::function<void(const Node& root, S& recipe, Reader& reader)>& check) {
  Reader reader;
  const Node root = read_yaml_file(file, overrides, reader);
  S recipe;
  recipe.file = file;
  read_map(table<S>(), root, "", reader, recipe);
  check(root, recipe, reader);
  throw_mistakes(reader);
  const Json effective = write_map(table<S>(), recipe);
  recipe.effective_yaml = to_yaml(effective);
  recipe.fingerprint = fingerprint_of(effective);
  recipe.notes = std::move(reader.notes);
  recipe.warnings = std::move(reader.warnings);
  return recipe;
}

}  // namespace multimeditron
