#include "recipe/schema.h"

#include <fmt/ranges.h>

#include "recipe/accepted_arguments.h"
#include "recipe/effective.h"
#include "recipe/expert_recipe.h"
#include "recipe/fields.h"
#include "recipe/gate_recipe.h"

namespace multimeditron {
namespace {

Json bounded(const FieldInfo& info, const char* type) {
  Json json = {{"type", type}};
  if (info.minimum) json[info.above_minimum ? "exclusiveMinimum" : "minimum"] = *info.minimum;
  if (info.maximum) json[info.below_maximum ? "exclusiveMaximum" : "maximum"] = *info.maximum;
  return json;
}

Json text(const FieldInfo& info) {
  Json json = {{"type", "string"}};
  if (!info.choices.empty()) json["enum"] = info.choices;
  return json;
}

/// Any value may come from the environment.
Json variable() {
  return {{"type", "string"}, {"pattern", R"(\$\{?[A-Za-z_])"}};
}

Json map_schema(const std::vector<FieldDoc>& fields, bool accepts_arguments);

Json field_schema(const FieldDoc& doc) {
  const FieldInfo& info = doc.info;
  Json options = Json::array();
  switch (info.type) {
    case FieldType::kString:
      options.push_back(text(info));
      if (!info.choices.empty()) options.push_back(variable());
      break;
    case FieldType::kStrings:
      options.push_back({{"type", "array"}, {"items", text(info)}});
      break;
    case FieldType::kIntegers:
      options.push_back({{"type", "array"}, {"items", {{"type", "integer"}, {"minimum", 1}}}});
      break;
    case FieldType::kInteger:
      options = {bounded(info, "integer"), variable()};
      break;
    case FieldType::kNumber:
      // Editors follow YAML 1.1, where 1e-4 is a string.
      options = {bounded(info, "number"), {{"type", "string"}, {"pattern", R"(^[-+]?[0-9.]+[eE][-+]?[0-9]+$)"}}, variable()};
      break;
    case FieldType::kBoolean:
      options = {{{"type", "boolean"}}, variable()};
      break;
    case FieldType::kFlagOrPath:
      options = {{{"type", "boolean"}}, {{"type", "string"}}};
      break;
    case FieldType::kNamesOrName:
      options = {text(info), {{"type", "array"}, {"items", text(info)}}, variable()};
      break;
    case FieldType::kPathOrMap:
      options = {{{"type", "string"}}, {{"type", "object"}}};
      break;
    case FieldType::kWindow:
      options = {text(info), {{"type", "array"}, {"items", {{"type", "number"}}}, {"minItems", 2}, {"maxItems", 2}}, variable()};
      break;
    case FieldType::kSlice:
      options = {{{"type", "integer"}, {"minimum", 0}}, text(info), variable()};
      break;
    case FieldType::kMap:
      if (doc.children.empty()) {  // data sets by class
        options.push_back(
            {{"type", "object"},
             {"additionalProperties", {{"anyOf", {{{"type", "string"}}, {{"type", "array"}, {"items", {{"type", "string"}}}}}}}}});
        break;
      }
      options.push_back(map_schema(doc.children, info.name == "training_args"));
      break;
    case FieldType::kMaps:
      options.push_back({{"type", "array"}, {"items", map_schema(doc.children, false)}});
      break;
  }
  if (info.nullable) options.push_back({{"type", "null"}});
  Json json = {{"description", info.help}};
  if (!doc.default_value.is_structured()) json["default"] = doc.default_value;
  if (options.size() == 1) {
    json.update(options[0]);
  } else {
    json["anyOf"] = options;
  }
  return json;
}

Json map_schema(const std::vector<FieldDoc>& fields, bool accepts_arguments) {
  Json properties = Json::object();
  for (const FieldDoc& doc : fields) properties[doc.info.name] = field_schema(doc);
  if (accepts_arguments) {
    for (const char* name : accepted_argument_names()) properties[name] = {{"description", "Accepted, not used here"}};
  }
  return {{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
}

std::string type_for_people(const FieldInfo& info) {
  static const std::map<FieldType, std::string> names = {{FieldType::kString, "string"},
                                                         {FieldType::kStrings, "list of strings"},
                                                         {FieldType::kIntegers, "list of whole numbers"},
                                                         {FieldType::kInteger, "whole number"},
                                                         {FieldType::kNumber, "number"},
                                                         {FieldType::kBoolean, "true, false"},
                                                         {FieldType::kFlagOrPath, "true, false or a path"},
                                                         {FieldType::kMap, "map"},
                                                         {FieldType::kNamesOrName, "name or list of names"},
                                                         {FieldType::kPathOrMap, "path or map"},
                                                         {FieldType::kWindow, "name or [centre, width]"},
                                                         {FieldType::kSlice, "`middle` or a whole number"},
                                                         {FieldType::kMaps, "list of maps"}};
  if (info.type == FieldType::kWindow) return fmt::format("`{}` or [centre, width]", fmt::join(info.choices, "`, `"));
  if (!info.choices.empty() && info.type == FieldType::kString) return fmt::format("`{}`", fmt::join(info.choices, "`, `"));
  std::string text = names.at(info.type);
  if (info.minimum) text += fmt::format(", {} {}", info.above_minimum ? "above" : "at least", *info.minimum);
  if (info.maximum) text += fmt::format(", {} {}", info.below_maximum ? "below" : "at most", *info.maximum);
  return text;
}

std::string default_for_people(const FieldDoc& doc) {
  const Json& value = doc.default_value;
  if (value.is_null() || value.is_structured() || (value.is_string() && value.get<std::string>().empty())) return "";
  std::string yaml = to_yaml(Json{{"x", value}});
  yaml = yaml.substr(3, yaml.size() - 4);
  return fmt::format("`{}`", yaml);
}

std::string for_table(const std::string& text) {
  std::string escaped;
  for (const char c : text) escaped += c == '|' ? "\\|" : std::string(1, c);
  return escaped;
}

/// `with_children`: the keys of maps below it get tables of their own.
void add_section(const std::string& title, const std::vector<FieldDoc>& fields, bool with_children, std::string& page) {
  page += fmt::format("\n## {}\n\n| key | values | default | meaning |\n|---|---|---|---|\n", title);
  for (const FieldDoc& doc : fields) {
    page += fmt::format("| `{}` | {} | {} | {} |\n", doc.info.name, for_table(type_for_people(doc.info)),
                        for_table(default_for_people(doc)), for_table(doc.info.help));
  }
  for (const FieldDoc& doc : fields) {
    if (!with_children || doc.children.empty()) continue;
    const bool list = doc.info.type == FieldType::kMaps;
    add_section(list ? fmt::format("An entry of `{}`", doc.info.name) : fmt::format("`{}`", doc.info.name), doc.children, true, page);
  }
}

}  // namespace

std::string recipe_json_schema(RecipeKind kind) {
  const bool trains = kind == RecipeKind::kTraining, is_gate = kind == RecipeKind::kGate;
  Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"},
                 {"title", trains    ? "multimeditron recipe"
                           : is_gate ? "multimeditron gate recipe"
                                     : "multimeditron expert recipe"}};
  schema.update(map_schema(trains    ? describe_fields(table<Recipe>())
                           : is_gate ? describe_fields(table<GateRecipe>())
                                     : describe_fields(table<ExpertRecipe>()),
                           false));
  return schema.dump(2) + "\n";
}

std::string recipe_reference_page() {
  std::string page =
      "# Recipe reference\n\n"
      "Every key that a recipe can have. This page is written by `multimeditron schema --markdown`; `multimeditron schema` prints the same "
      "as a JSON\n"
      "Schema, with which editors complete and check recipes, and `multimeditron check RECIPE` lists all mistakes of a recipe at once.\n\n"
      "- `$NAME` and `${NAME}` in any value are replaced from the environment; a variable that is not set is an error. `$$` is one "
      "dollar.\n"
      "- A key that stands twice is a warning, and the last one counts. Anchors, aliases and merge keys (`<<`) work.\n"
      "- `1e-4` is a number. What stands in quotes is a string.\n"
      "- Values can be changed on the command line: `training_args.max_steps=10`, `datasets.0.packed_path=data/train`.\n";
  add_section("Recipe", describe_fields(table<Recipe>()), true, page);
  std::string names;
  for (const char* name : accepted_argument_names()) names += fmt::format("{}`{}`", names.empty() ? "" : ", ", name);
  page +=
      "\n## Accepted in `training_args`, not used here\n\nThese keys of TrainingArguments have no meaning here; each gives a note, and a "
      "warning where its value would\nchange the result of the original.\n\n" +
      names + ".\n";
  add_section("Recipe of `train-expert`", describe_fields(table<ExpertRecipe>()), false, page);
  add_section("Recipe of `train-gate`", describe_fields(table<GateRecipe>()), false, page);
  return page;
}

}  // namespace multimeditron
