#include "recipe/table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>

#include "base/suggest.h"
#include "recipe/fields.h"

namespace multimeditron {
namespace {

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

/// What people write from habit, and no distance of letters finds.
const std::map<std::string, std::string>& habits() {
  static const std::map<std::string, std::string> words = {{"lr", "learning_rate"},
                                                           {"batch_size", "per_device_train_batch_size"},
                                                           {"per_device_batch_size", "per_device_train_batch_size"},
                                                           {"epochs", "num_train_epochs"},
                                                           {"grad_accum", "gradient_accumulation_steps"},
                                                           {"accumulation_steps", "gradient_accumulation_steps"},
                                                           {"scheduler", "lr_scheduler_type"},
                                                           {"path", "packed_path"},
                                                           {"dataset", "datasets"},
                                                           {"llm", "base_llm"},
                                                           {"model", "base_llm"},
                                                           {"vision_tower", "clip_name"}};
  return words;
}

std::optional<std::string> suggestion(const std::string& word, const std::vector<std::string>& candidates) {
  const auto habit = habits().find(word);
  if (habit != habits().end() && std::find(candidates.begin(), candidates.end(), habit->second) != candidates.end()) return habit->second;
  for (const std::string& candidate : candidates) {
    if (lower(candidate) == lower(word)) return candidate;
  }
  return nearest(word, candidates);
}

/// "of at least 0 and below 1"
std::string range(const FieldInfo& info) {
  std::string text;
  if (info.minimum) text = fmt::format("{} {}", info.above_minimum ? "above" : "of at least", *info.minimum);
  if (info.maximum) text += fmt::format("{}{} {}", text.empty() ? "" : " and ", info.below_maximum ? "below" : "of at most", *info.maximum);
  return text;
}

bool in_range(const FieldInfo& info, double value) {
  if (info.minimum && (info.above_minimum ? value <= *info.minimum : value < *info.minimum)) return false;
  if (info.maximum && (info.below_maximum ? value >= *info.maximum : value > *info.maximum)) return false;
  return true;
}

std::string expected(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "a string";
    case FieldType::kStrings:
      return "a list of strings";
    case FieldType::kInteger:
      return "a whole number";
    case FieldType::kIntegers:
      return "a list of whole numbers";
    case FieldType::kNumber:
      return "a number";
    case FieldType::kBoolean:
      return "true or false";
    case FieldType::kFlagOrPath:
      return "true, false or a path";
    case FieldType::kNamesOrName:
      return "a name or a list of names";
    case FieldType::kPathOrMap:
      return "a path or a map";
    case FieldType::kWindow:
      return "a window's name or [centre, width]";
    case FieldType::kSlice:
      return "`middle` or a whole number of at least 0";
    case FieldType::kMap:
      return "a map";
    case FieldType::kMaps:
      return "a list of maps";
  }
  return "";
}

std::string how_to_write(const FieldInfo& info, const Node& node) {
  const bool number = info.type == FieldType::kInteger || info.type == FieldType::kNumber;
  if (node.kind == Node::Kind::kScalar && node.quoted &&
      ((number && is_number(node.text)) || (info.type == FieldType::kBoolean && parse_boolean(node.text))))
    return "remove the quotes";
  if (!info.choices.empty()) return fmt::format("one of: {}", fmt::join(info.choices, ", "));
  if (node.kind == Node::Kind::kNull) return "write " + expected(info.type) + ", or remove the key to have the default";
  if (info.type == FieldType::kMaps && node.kind == Node::Kind::kMap)
    return "put `- ` in front of its first key and indent the others with it";
  if (info.type == FieldType::kStrings && node.kind == Node::Kind::kScalar) return fmt::format("write `[{}]`", node.text);
  if (info.type == FieldType::kInteger && node.kind == Node::Kind::kScalar && is_number(node.text)) {
    const double value = std::strtod(node.text.c_str(), nullptr);
    if (std::floor(value) == value && std::abs(value) < 1e15) return fmt::format("write {:.0f}", value);
  }
  return "write " + expected(info.type);
}

std::string without_underscores(const std::string& text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_' || i == 0) digits += text[i];
  }
  return digits;
}

/// A plain scalar that a number is to be read from.
bool is_plain(const Node& node) {
  return node.kind == Node::Kind::kScalar && !node.quoted;
}

}  // namespace

bool is_number(const std::string& text) {
  size_t i = 0, digits = 0;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
  for (; i < text.size() && (std::isdigit(static_cast<unsigned char>(text[i])) || (text[i] == '_' && digits > 0)); ++i) ++digits;
  if (i < text.size() && text[i] == '.') {
    for (++i; i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])); ++i) ++digits;
  }
  if (digits == 0) return false;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    const size_t begin = i;
    while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i]))) ++i;
    if (i == begin) return false;
  }
  return i == text.size();
}

std::optional<bool> parse_boolean(const std::string& text) {
  for (const auto& [word, value] :
       {std::pair{"true", true}, {"yes", true}, {"on", true}, {"false", false}, {"no", false}, {"off", false}}) {
    std::string title = word, upper = word;
    title[0] = static_cast<char>(title[0] - 'a' + 'A');
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    if (text == word || text == title || text == upper) return value;
  }
  return std::nullopt;
}

void report_unknown_key(const Node::Entry& entry, const std::string& path, const std::vector<std::string>& known, Reader& reader) {
  const size_t dot = path.rfind('.');
  const std::string parent = dot == std::string::npos ? "" : path.substr(0, dot);
  const std::string owner = parent.empty() ? "a recipe" : fmt::format("`{}`", parent);
  std::string fix;
  if (const auto place = place_of_key(entry.key, parent)) {
    fix = *place;
  } else if (const auto word = suggestion(entry.key, known)) {
    fix = fmt::format("did you mean `{}`?", *word);
  } else if (known.size() <= 24) {
    fix = "its keys: " + join_or(known);
  } else {
    fix = "remove it; `multimeditron schema --markdown` lists all keys";
  }
  reader.mistake(entry.key_origin, fmt::format("unknown key `{}`", entry.key), fmt::format("`{}`, which is no key of {}", entry.key, owner),
                 fix);
}

void report_type(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader) {
  const std::string found = node.kind == Node::Kind::kNull ? "null (nothing behind the colon is null too)" : describe(node);
  std::string fix = how_to_write(info, node);
  if (info.type == FieldType::kMap && !info.name.empty() && node.kind == Node::Kind::kScalar && std::isdigit(path.back()) != 0)
    fix = fmt::format("write `- {0}: {1}`, in brackets `{{{0}: {1}}}`", info.name, node.text);
  reader.mistake_at(path, fmt::format("`{}` must be {}", path, expected(info.type)), found, fix);
}

void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, bool& out) {
  const auto value = is_plain(node) ? parse_boolean(node.text) : std::nullopt;
  if (value) {
    out = *value;
  } else {
    report_type(info, node, path, reader);
  }
}

void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, int64_t& out) {
  int64_t value = 0;
  bool whole = false;
  if (is_plain(node)) {
    std::string digits = without_underscores(node.text);
    if (digits.starts_with('+')) digits.erase(0, 1);
    const bool octal = digits.size() > 1 && digits[0] == '0';  // YAML 1.1 reads 010 as 8: better not guessed
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    whole = !octal && error == std::errc() && end == digits.data() + digits.size();
  }
  if (!whole) {
    report_type(info, node, path, reader);
  } else if (!in_range(info, static_cast<double>(value))) {
    reader.mistake_at(path, fmt::format("`{}` is out of range", path), fmt::format("{}", value),
                      fmt::format("choose a whole number {}", range(info)));
  } else {
    out = value;
  }
}

void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, double& out) {
  if (!is_plain(node) || !is_number(node.text)) {
    report_type(info, node, path, reader);
    return;
  }
  const double value = std::strtod(without_underscores(node.text).c_str(), nullptr);
  if (!std::isfinite(value)) {
    reader.mistake_at(path, fmt::format("`{}` is out of range", path), fmt::format("`{}`, which is too large", node.text),
                      "choose a smaller number");
  } else if (!in_range(info, value)) {
    reader.mistake_at(path, fmt::format("`{}` is out of range", path), fmt::format("{}", value),
                      fmt::format("choose a number {}", range(info)));
  } else {
    out = value;
  }
}

void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, std::string& out) {
  if (node.kind != Node::Kind::kScalar) {
    report_type(info, node, path, reader);
    return;
  }
  const auto& choices = info.choices;
  if (!choices.empty() && std::find(choices.begin(), choices.end(), node.text) == choices.end()) {
    const auto word = suggestion(node.text, choices);
    const std::string valid = (choices.size() > 1 ? "one of: " : "the only choice: ") + fmt::format("{}", fmt::join(choices, ", "));
    reader.mistake_at(path, fmt::format("`{}` has no choice of this name", path), fmt::format("`{}`", node.text),
                      word ? fmt::format("did you mean `{}`? {}", *word, valid) : valid);
    return;
  }
  out = node.text;
}

void read_scalar(const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, std::vector<std::string>& out) {
  if (node.kind == Node::Kind::kNull) return;
  if (node.kind != Node::Kind::kSequence) {
    report_type(info, node, path, reader);
    return;
  }
  out.clear();  // of the default
  for (size_t i = 0; i < node.items.size(); ++i) {
    const std::string item_path = fmt::format("{}.{}", path, i);
    reader.seen(item_path, node.items[i].origin);
    std::string text;
    if (!node.items[i].unusable) read_scalar({.name = info.name}, node.items[i], item_path, reader, text);
    if (node.items[i].unusable || reader.failed(item_path)) reader.fail(path);
    out.push_back(text);
  }
}

}  // namespace multimeditron
