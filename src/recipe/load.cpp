#include "recipe/load.h"

#include <fmt/format.h>

#include <limits>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "recipe/overrides.h"
#include "recipe/variables.h"

namespace multimeditron {
namespace {

struct UnsetVariable {
  Origin origin;
  std::string text;
  size_t places = 0;
};

/// Expands every string below `node`; what names a variable that is not set becomes unusable.
void expand(Node& node, std::map<std::string, UnsetVariable>& all_unset) {
  for (Node& item : node.items) expand(item, all_unset);
  for (Node::Entry& entry : node.entries) expand(entry.value, all_unset);
  if (node.kind != Node::Kind::kScalar || node.text.find('$') == std::string::npos) return;
  std::vector<std::string> unset;
  const std::string before = std::exchange(node.text, expand_variables(node.text, unset));
  if (!node.quoted && (node.text == "null" || node.text == "~")) node.kind = Node::Kind::kNull;
  for (const std::string& name : unset) {
    UnsetVariable& variable = all_unset[name];
    if (variable.places++ == 0) variable = {node.origin, before, 1};
    node.unusable = true;
  }
}

void expand_all(Node& root, Reader& reader) {
  std::map<std::string, UnsetVariable> unset;
  expand(root, unset);
  for (const auto& [name, variable] : unset) {
    std::string found = fmt::format("`{}`", variable.text);
    if (variable.places > 1) found += fmt::format(" ({} more place{})", variable.places - 1, variable.places == 2 ? "" : "s");
    reader.mistake(variable.origin, fmt::format("the variable `{}` is not set", name), found,
                   fmt::format("export {}=..., or write its value into the recipe", name));
  }
}

}  // namespace

Node read_yaml_file(const std::filesystem::path& file, std::span<const std::string> overrides, Reader& reader) {
  ParsedYaml parsed = parse_yaml(read_file(file), file.string());
  Node root = std::move(parsed.root);
  if (root.kind != Node::Kind::kMap) {
    throw UserError("a recipe is a map of keys and values", {.where = file.string(),
                                                             .found = root.kind == Node::Kind::kNull ? "an empty file" : describe(root),
                                                             .fix = "start from a recipe that works, for instance one below recipes/"});
  }
  reader.warnings = std::move(parsed.warnings);
  // What is missing as a whole is reported behind the file's own mistakes.
  reader.seen("", {file.string(), std::numeric_limits<size_t>::max() - 1, 0});
  for (size_t i = 0; i < overrides.size(); ++i) {
    const Origin origin = override_origin(overrides[i], i);
    try {
      apply_override(root, overrides[i], origin);
    } catch (const UserError& error) {
      reader.mistake(origin, error.message(), error.details().found, error.details().fix);
    }
  }
  expand_all(root, reader);
  return root;
}

void throw_mistakes(const Reader& reader) {
  const std::vector<UserError> mistakes = reader.mistakes();
  if (mistakes.empty()) return;
  // They may explain a mistake, and the recipe that would carry them is not returned.
  for (const std::string& text : reader.warnings) warn(text);
  throw UserErrors(mistakes);
}

}  // namespace multimeditron
