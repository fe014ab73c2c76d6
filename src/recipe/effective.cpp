#include "recipe/effective.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/hash.h"
#include "recipe/recipe.h"
#include "recipe/table.h"

namespace multimeditron {
namespace {

std::string number(double value) {
  if (std::floor(value) == value && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  std::string text = fmt::format("{}", value);
  // YAML 1.1 takes 5e-05 for a string: 5.0e-05 is a number to every reader.
  const size_t exponent = text.find('e');
  if (exponent != std::string::npos && text.find('.') == std::string::npos) text.insert(exponent, ".0");
  return text;
}

bool reads_as_itself(const std::string& text) {
  static const std::set<std::string> words = {"null", "Null", "NULL", "y", "Y", "n", "N"};
  if (text.empty() || words.contains(text) || is_number(text) || parse_boolean(text)) return false;
  if (!std::isalpha(static_cast<unsigned char>(text.front())) && std::string_view("/<_").find(text.front()) == std::string_view::npos)
    return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("/<>|_-.@+$").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string scalar(const Json& json) {
  if (json.is_number_float()) return number(json.get<double>());
  if (!json.is_string()) return json.dump();
  std::string text;
  for (const char c : json.get_ref<const std::string&>()) text += c == '$' ? "$$" : std::string(1, c);
  return reads_as_itself(text) ? text : Json(text).dump();
}

void emit(const Json& json, size_t indent, std::string& out);

void emit_entry(const Json& value, size_t indent, std::string& out) {
  if (value.is_structured() && !value.empty()) {
    out += '\n';
    emit(value, value.is_array() ? indent : indent + 2, out);
  } else {
    out += ' ' + scalar(value) + '\n';
  }
}

void emit(const Json& json, size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  if (json.is_array()) {
    for (const Json& item : json) {
      if (item.is_structured() && !item.empty()) {
        std::string text;
        emit(item, indent + 2, text);
        out += margin + "- " + text.substr(indent + 2);
      } else {
        out += margin + "- " + scalar(item) + '\n';
      }
    }
    return;
  }
  for (const auto& [key, value] : json.items()) {
    out += margin + key + ':';
    emit_entry(value, indent, out);
  }
}

void flatten(const Node& node, const std::string& path, std::vector<std::pair<std::string, std::string>>& out) {
  const auto below = [&](const std::string& part) { return path.empty() ? part : path + "." + part; };
  if (node.kind == Node::Kind::kMap && !node.entries.empty()) {
    for (const Node::Entry& entry : node.entries) flatten(entry.value, below(entry.key), out);
  } else if (node.kind == Node::Kind::kSequence && !node.items.empty()) {
    for (size_t i = 0; i < node.items.size(); ++i) flatten(node.items[i], below(std::to_string(i)), out);
  } else if (node.kind == Node::Kind::kScalar) {
    out.emplace_back(path, node.text.empty() ? "\"\"" : node.text);
  } else {
    out.emplace_back(path, node.kind == Node::Kind::kMap ? "{}" : node.kind == Node::Kind::kSequence ? "[]" : "null");
  }
}

Json without_what_does_not_count(const Json& json, const std::string& path) {
  if (!json.is_object()) return json;
  Json kept = Json::object();
  for (const auto& [key, value] : json.items()) {
    const std::string below = path.empty() ? key : path + "." + key;
    if (counts_for_fingerprint(below)) kept[key] = without_what_does_not_count(value, below);
  }
  return kept;
}

}  // namespace

std::string to_yaml(const Json& json) {
  std::string text;
  emit(json, 0, text);
  return text;
}

bool counts_for_fingerprint(const std::string& path) {
  static const std::set<std::string> launch = {
      "resume_from_checkpoint", "max_bad_samples", "output_dir", "resume_from", "num_workers", "use_wandb", "save_every_n_epochs"};
  if (launch.contains(path) || path.starts_with("wandb_") || path.starts_with("logging_") || path.starts_with("zero_shot_")) return false;
  static constexpr std::string_view kArguments = "training_args.";
  if (!path.starts_with(kArguments)) return true;
  static const std::set<std::string> elsewhere = {"output_dir", "run_name", "report_to", "deepspeed"};
  const std::string key = path.substr(kArguments.size());
  return !elsewhere.contains(key) && !key.starts_with("dataloader_") && !key.starts_with("save_") && !key.starts_with("logging_");
}

std::string fingerprint_of(const Json& effective) {
  return sha256(without_what_does_not_count(effective, "").dump());
}

std::string recipe_difference(const std::string& old_yaml, const std::string& new_yaml) {
  std::vector<std::pair<std::string, std::string>> before, after;
  flatten(parse_yaml(old_yaml, "old recipe").root, "", before);
  flatten(parse_yaml(new_yaml, "new recipe").root, "", after);
  const std::map<std::string, std::string> old_values(before.begin(), before.end()), new_values(after.begin(), after.end());
  std::string text;
  const auto add = [&](const std::string& path, const std::string& was, const std::string& is) {
    if (was != is && counts_for_fingerprint(path)) text += fmt::format("{}{}: {} -> {}", text.empty() ? "" : "\n", path, was, is);
  };
  for (const auto& [path, value] : before) add(path, value, new_values.contains(path) ? new_values.at(path) : "(not set)");
  for (const auto& [path, value] : after) {
    if (!old_values.contains(path)) add(path, "(not set)", value);
  }
  return text;
}

}  // namespace multimeditron
