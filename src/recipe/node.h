#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace multimeditron {

/// Where a value was written. `line` also gives the order of messages: overrides come after the file's own mistakes.
struct Origin {
  std::string text;  ///< "recipe.yaml:12:3" or "override `a.b=1`"
  size_t line = 0;
  size_t column = 0;
};

/// YAML as read: every scalar still text, every value with its place. Duplicate keys, merge keys and aliases are already resolved.
struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  std::string text;            ///< of a scalar
  bool quoted = false;         ///< in quotes, a block scalar or `!!str`: a string whatever it looks like
  bool unusable = false;       ///< a mistake in it has been reported already
  std::vector<Node> items;     ///< of a sequence
  std::vector<Entry> entries;  ///< of a map, in order
  Origin origin;

  Node* find(std::string_view key);
  const Node* find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }
};

struct Node::Entry {
  std::string key;
  Origin key_origin;
  Node value;
};

/// A value for messages: "`abc`", "the string \"1\"", "a list", "a map" or "null".
std::string describe(const Node& node);

/// A file's content as a tree, and what was read though it looks like a slip (duplicate keys, stray list items).
struct ParsedYaml {
  Node root;
  std::vector<std::string> warnings;
};

/// `name` stands in messages. Throws UserError with line and column for what is not YAML or not a plain configuration: several documents,
/// tags, keys that are no scalars, an alias inside its own anchor.
ParsedYaml parse_yaml(const std::string& text, const std::string& name);

}  // namespace multimeditron
