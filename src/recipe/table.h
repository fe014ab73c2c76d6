#pragma once

#include <algorithm>
#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "recipe/node.h"
#include "recipe/reader.h"

namespace multimeditron {

/// One description of a struct's fields feeds the YAML reader, the effective recipe, the JSON Schema and the docs page.

enum class FieldType {
  kString,
  kStrings,
  kInteger,
  kIntegers,
  kNumber,
  kBoolean,
  kFlagOrPath,
  kNamesOrName,
  kPathOrMap,
  kWindow,
  kSlice,
  kMap,
  kMaps
};

/// What is known of a field without its struct.
struct FieldInfo {
  std::string name;
  FieldType type = FieldType::kString;
  std::string help;
  bool nullable = false;  ///< null means "not set", that is the default
  std::vector<std::string> choices;
  std::optional<double> minimum, maximum;
  bool above_minimum = false, below_maximum = false;  ///< the bound itself is out
};

/// A field with its default and, for maps, its own fields: for schema and docs.
struct FieldDoc {
  FieldInfo info;
  Json default_value;
  std::vector<FieldDoc> children;
};

/// Names of an enum's values, in order; specialised beside each enum that a recipe can set.
template <class E>
const std::vector<std::pair<E, std::string>>& enum_names();

template <class S>
struct Field {
  FieldInfo info;
  std::function<void(const FieldInfo&, const Node&, const std::string& path, Reader&, S&)> read;
  std::function<Json(const S&)> write;
  std::function<std::vector<FieldDoc>()> children;

  Field nullable() && { return info.nullable = true, std::move(*this); }
  Field choices(std::vector<std::string> names) && { return info.choices = std::move(names), std::move(*this); }
  Field at_least(double value) && { return info.minimum = value, std::move(*this); }
  Field above(double value) && { return info.minimum = value, info.above_minimum = true, std::move(*this); }
  Field at_most(double value) && { return info.maximum = value, std::move(*this); }
  Field below(double value) && { return info.maximum = value, info.below_maximum = true, std::move(*this); }
};

template <class S>
struct Table {
  std::vector<Field<S>> fields;
  /// Deals with a key that is no field; false: it is unknown.
  std::function<bool(const Node::Entry&, const std::string& path, Reader&)> accept;
  /// Keys that `accept` takes, for the nearest-key suggestion.
  std::vector<std::string> accepted;
  /// Is this field to be written? Not set: all are.
  std::function<bool(const S&, const std::string& name)> relevant;
};

/// The table of a struct; specialised beside it.
template <class S>
const Table<S>& table();

template <class T>
inline constexpr bool kHasTable = false;

/// "unknown key" with the nearest key, or the place where it belongs.
void report_unknown_key(const Node::Entry& entry, const std::string& path, const std::vector<std::string>& known, Reader& reader);

/// Wrong kind of value: says what was expected.
void report_type(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader);

// Scalars. On a mistake they report it and leave `out` as it was.
void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, bool& out);
void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, int64_t& out);
void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, double& out);
void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, std::string& out);
void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, std::vector<std::string>& out);

/// Does plain text look like a number to YAML 1.2 (so `1e-4` as well)?
bool is_number(const std::string& text);
/// true, True, yes, on ... or nothing.
std::optional<bool> parse_boolean(const std::string& text);

template <class S>
void read_map(const Table<S>& fields, const Node& node, const std::string& path, Reader& reader, S& out) {
  if (node.kind == Node::Kind::kNull) return;
  if (node.kind != Node::Kind::kMap) {
    report_type({.name = fields.fields.front().info.name, .type = FieldType::kMap}, node, path, reader);
    return;
  }
  for (const Node::Entry& entry : node.entries) {
    const std::string entry_path = path.empty() ? entry.key : path + "." + entry.key;
    const auto field =
        std::find_if(fields.fields.begin(), fields.fields.end(), [&](const Field<S>& f) { return f.info.name == entry.key; });
    if (field == fields.fields.end()) {
      if (fields.accept && fields.accept(entry, entry_path, reader)) continue;
      std::vector<std::string> known = fields.accepted;
      for (const Field<S>& each : fields.fields) known.push_back(each.info.name);
      report_unknown_key(entry, entry_path, known, reader);
      continue;
    }
    reader.seen(entry_path, entry.value.origin);
    if (entry.value.unusable) {
      reader.fail(entry_path);
      continue;
    }
    field->read(field->info, entry.value, entry_path, reader, out);
  }
}

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsMaps : std::false_type {};
template <class T>
struct IsMaps<std::vector<T>> : std::bool_constant<kHasTable<T>> {};

template <class T>
constexpr FieldType type_of() {
  if constexpr (IsOptional<T>::value)
    return type_of<typename T::value_type>();
  else if constexpr (std::is_same_v<T, bool>)
    return FieldType::kBoolean;
  else if constexpr (std::is_same_v<T, int64_t>)
    return FieldType::kInteger;
  else if constexpr (std::is_same_v<T, double>)
    return FieldType::kNumber;
  else if constexpr (std::is_same_v<T, std::vector<std::string>>)
    return FieldType::kStrings;
  else if constexpr (IsMaps<T>::value)
    return FieldType::kMaps;
  else if constexpr (kHasTable<T>)
    return FieldType::kMap;
  else
    return FieldType::kString;
}

template <class T>
void read_value(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, T& out) {
  if constexpr (kHasTable<T>) {
    read_map(table<T>(), node, path, reader, out);
  } else if constexpr (IsMaps<T>::value) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kSequence) {
      report_type(info, node, path, reader);
      return;
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string item_path = path + "." + std::to_string(i);
      reader.seen(item_path, node.items[i].origin);
      read_map(table<typename T::value_type>(), node.items[i], item_path, reader, out.emplace_back());
    }
  } else if (node.kind == Node::Kind::kNull && info.nullable) {
    return;
  } else if constexpr (IsOptional<T>::value) {
    typename T::value_type value{};
    read_value(info, node, path, reader, value);
    if (!reader.failed(path)) out = value;
  } else if constexpr (std::is_enum_v<T>) {
    std::string name;
    read_scalar(info, node, path, reader, name);
    for (const auto& [value, text] : enum_names<T>()) {
      if (text == name) out = value;
    }
  } else {
    read_scalar(info, node, path, reader, out);
  }
}

template <class S>
Json write_map(const Table<S>& fields, const S& value) {
  Json json = Json::object();
  for (const Field<S>& field : fields.fields) {
    if (fields.relevant && !fields.relevant(value, field.info.name)) continue;
    Json& written = json[field.info.name] = field.write(value);
    if (field.info.nullable && written == "") written = nullptr;
  }
  return json;
}

template <class T>
Json write_value(const T& value) {
  if constexpr (kHasTable<T>) {
    return write_map(table<T>(), value);
  } else if constexpr (IsMaps<T>::value) {
    Json json = Json::array();
    for (const auto& item : value) json.push_back(write_value(item));
    return json;
  } else if constexpr (IsOptional<T>::value) {
    return value ? write_value(*value) : Json();
  } else if constexpr (std::is_enum_v<T>) {
    for (const auto& [each, text] : enum_names<T>()) {
      if (each == value) return text;
    }
    return Json();
  } else {
    return value;
  }
}

template <class S>
std::vector<FieldDoc> describe_fields(const Table<S>& fields) {
  std::vector<FieldDoc> docs;
  for (const Field<S>& field : fields.fields) {
    docs.push_back({field.info, field.write(S{}), field.children ? field.children() : std::vector<FieldDoc>{}});
  }
  return docs;
}

template <class T>
struct ItemOf {
  using type = T;
};
template <class T>
struct ItemOf<std::vector<T>> {
  using type = T;
};
template <class T>
struct ItemOf<std::optional<T>> {
  using type = T;
};

/// A field of `S` by its name in YAML and its member.
template <class S, class T>
Field<S> field(std::string name, T S::*member, std::string help) {
  using Item = typename ItemOf<T>::type;
  Field<S> result;
  result.info = {.name = std::move(name), .type = type_of<T>(), .help = std::move(help)};
  result.info.nullable = IsOptional<T>::value || IsMaps<T>::value || kHasTable<T> || std::is_same_v<T, std::vector<std::string>>;
  if constexpr (std::is_enum_v<Item>) {
    for (const auto& entry : enum_names<Item>()) result.info.choices.push_back(entry.second);
  }
  result.read = [member](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, S& out) {
    read_value(info, node, path, reader, out.*member);
  };
  result.write = [member](const S& value) { return write_value(value.*member); };
  if constexpr (kHasTable<Item>) result.children = [] { return describe_fields(table<Item>()); };
  return result;
}

}  // namespace multimeditron
