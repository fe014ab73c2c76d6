#include "recipe/overrides.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "base/error.h"

namespace multimeditron {
namespace {

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

void set_origin(Node& node, const Origin& origin) {
  node.origin = origin;
  for (Node& item : node.items) set_origin(item, origin);
  for (Node::Entry& entry : node.entries) {
    entry.key_origin = origin;
    set_origin(entry.value, origin);
  }
}

Node read_value(const std::string& text, const Origin& origin) {
  Node node;
  const bool structured = !text.empty() && std::string_view("[{'\"").find(text.front()) != std::string_view::npos;
  if (structured) {
    try {
      node = parse_yaml(text, "value").root;
    } catch (const UserError& error) {
      throw UserError(
          "the value of an override is not valid YAML",
          {.where = origin.text, .found = error.details().found, .fix = "quote it once for the shell and once for YAML: 'key=\"value\"'"});
    }
  } else if (!text.empty() && text != "null" && text != "~") {
    node.kind = Node::Kind::kScalar;
    node.text = text;
  }
  set_origin(node, origin);
  return node;
}

Node& item_of(Node& list, const std::string& part, const std::string& path, const Origin& origin) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (error != std::errc() || end != part.data() + part.size()) {
    throw UserError(
        fmt::format("`{}` is a list: an index was expected", path),
        {.where = origin.text, .found = fmt::format("`{}`", part), .fix = fmt::format("write `{}.0` for its first item", path)});
  }
  if (index > list.items.size()) {
    throw UserError(fmt::format("`{}` has no item {}", path, index),
                    {.where = origin.text,
                     .found = fmt::format("{} item{}", list.items.size(), list.items.size() == 1 ? "" : "s"),
                     .fix = fmt::format("`{}.{}` would add one", path, list.items.size())});
  }
  if (index == list.items.size()) {
    list.items.emplace_back();
    list.items.back().origin = origin;
  }
  return list.items[index];
}

}  // namespace

Origin override_origin(const std::string& override_text, size_t index) {
  return {fmt::format("override `{}`", override_text), std::numeric_limits<size_t>::max(), index};
}

void apply_override(Node& root, const std::string& override_text, const Origin& origin) {
  const size_t equals = override_text.find('=');
  const std::vector<std::string> parts = split(override_text.substr(0, equals));
  bool empty_part = false;
  for (const std::string& part : parts) empty_part = empty_part || part.empty();
  if (equals == std::string::npos || empty_part) {
    throw UserError(
        "an override has the form key.path=value",
        {.where = origin.text, .found = fmt::format("`{}`", override_text), .fix = "for instance `training_args.learning_rate=1e-4`"});
  }
  Node* node = &root;
  std::string path;
  for (const std::string& part : parts) {
    if (node->kind == Node::Kind::kSequence) {
      node = &item_of(*node, part, path, origin);
    } else if (node->kind == Node::Kind::kScalar) {
      throw UserError(
          fmt::format("`{}` has no keys below it", path),
          {.where = origin.text, .found = fmt::format("its value is {}", describe(*node)), .fix = "shorten the override's path"});
    } else {
      node->kind = Node::Kind::kMap;  // an absent or empty map begins here
      if (node->origin.text.empty()) node->origin = origin;
      Node* next = node->find(part);
      if (next == nullptr) {
        node->entries.push_back({part, origin, Node{}});
        next = &node->entries.back().value;
        next->origin = origin;
      }
      node = next;
    }
    path += path.empty() ? part : "." + part;
  }
  *node = read_value(override_text.substr(equals + 1), origin);
}

}  // namespace multimeditron
