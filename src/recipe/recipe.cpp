#include "recipe/recipe.h"

#include <fmt/format.h>

#include "base/error.h"
#include "recipe/deepspeed.h"
#include "recipe/expert_recipe.h"
#include "recipe/fields.h"
#include "recipe/gate_recipe.h"
#include "recipe/load.h"
#include "recipe/validate.h"

namespace multimeditron {
namespace {

template <class E>
const char* name_of(E value) {
  for (const auto& [each, name] : enum_names<E>()) {
    if (each == value) return name.c_str();
  }
  return "";
}

const Node* find(const Node& root, std::initializer_list<const char*> path) {
  const Node* node = &root;
  for (const char* key : path) {
    if (node != nullptr) node = node->find(key);
  }
  return node;
}

}  // namespace

Recipe load_recipe(const std::filesystem::path& file, std::span<const std::string> overrides) {
  const auto refuse = [&](const char* command, const char* key) {
    throw UserError(fmt::format("this is a recipe of {}", command),
                    {.where = file.string(),
                     .found = fmt::format("`{}` at the top level", key),
                     .fix = fmt::format("multimeditron {} --config {}", command, file.string())});
  };
  if (is_expert_recipe(file)) refuse("train-expert", "clip_name");
  if (is_gate_recipe(file)) refuse("train-gate", "dataset_class_map");
  return load_yaml<Recipe>(file, overrides, [](const Node& root, Recipe& recipe, Reader& reader) {
    validate(recipe, reader);
    if (const Node* deepspeed = find(root, {"training_args", "deepspeed"})) check_deepspeed(recipe, *deepspeed, reader);
  });
}

const char* to_string(TrainingMode mode) {
  return name_of(mode);
}

const char* to_string(TokenizerType type) {
  return name_of(type);
}

const char* to_string(LabelMask mask) {
  return name_of(mask);
}

std::optional<TokenizerType> parse_tokenizer_type(const std::string& name) {
  for (const auto& [type, text] : enum_names<TokenizerType>()) {
    if (text == name) return type;
  }
  return std::nullopt;
}

}  // namespace multimeditron
