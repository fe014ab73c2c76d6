#include "recipe/expert_recipe.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "recipe/fields.h"
#include "recipe/load.h"
#include "recipe/validate.h"

namespace multimeditron {
namespace {

/// Data sets by class; the order of the classes is the file's.
Field<ExpertRecipe> zero_shot_field() {
  Field<ExpertRecipe> result;
  result.info = {.name = "zero_shot_class_map",
                 .type = FieldType::kMap,
                 .help = "Images by class, at least two classes: how many the trained CLIP recognises by the classes' names",
                 .nullable = true};
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, ExpertRecipe& out) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kMap) return report_type(info, node, path, reader);
    for (const Node::Entry& entry : node.entries) {
      std::vector<std::string> names;
      const std::string below = path + "." + entry.key;
      reader.seen(below, entry.value.origin);
      if (entry.value.kind == Node::Kind::kScalar) {
        names.push_back(entry.value.text);
      } else {
        read_scalar({.name = entry.key, .type = FieldType::kStrings}, entry.value, below, reader, names);
      }
      if (names.empty() && !entry.value.unusable && !reader.failed(below))
        reader.mistake_at(below, "a class has no data set", describe(entry.value), fmt::format("write `{}: [FOLDER]`", entry.key));
      out.zero_shot_classes.push_back(entry.key);
      out.zero_shot_class_map.push_back(std::move(names));
    }
  };
  result.write = [](const ExpertRecipe& recipe) {
    Json map = Json::object();
    for (size_t i = 0; i < recipe.zero_shot_classes.size(); ++i) map[recipe.zero_shot_classes[i]] = recipe.zero_shot_class_map[i];
    return map;
  };
  return result;
}

}  // namespace

template <>
const Table<ExpertRecipe>& table() {
  using S = ExpertRecipe;
  static const Table<S> fields{
      .fields = {
          field("clip_name", &S::clip_name, "Hub id or folder of a CLIP model: config.json, weights, tokenizer, preprocessor_config.json"),
          field("from_scratch", &S::from_scratch, "Take the architecture of `clip_name` only and draw the weights"),
          field("attachment_token", &S::attachment_token, "Stands for an image in the data set's texts; left out of captions"),
          field("max_text_length", &S::max_text_length, "Tokens of a caption, 0: as many as the text tower has positions").at_least(0),
          field("held_out", &S::held_out, "Share of the pairs that is not trained on: retrieval is measured on them").at_least(0).below(1),
          field("seed", &S::seed, "Shuffling of the data set, choice of the held-out pairs, initial weights").at_least(0),
          field("max_bad_samples", &S::max_bad_samples, "Share of the pairs seen that may be unusable before the run ends")
              .at_least(0)
              .at_most(1),
          zero_shot_field(),
          field("zero_shot_templates", &S::zero_shot_templates,
                "What the text tower reads of a class, its name in place of {}; several are averaged"),
          field("loaders", &S::loaders, "Where the images come from; without it they are in the data set"),
          field("datasets", &S::datasets, "Data sets, concatenated: rows with one image and a `text` (or a conversation with an answer)"),
          field("training_args", &S::training_args, "As of `train`; the contrastive batch is batch size times accumulation steps"),
      }};
  return fields;
}

bool is_expert_recipe(const std::filesystem::path& file) {
  try {
    const ParsedYaml parsed = parse_yaml(read_file(file), file.string());
    const auto has = [&](const char* key) { return parsed.root.find(key) != nullptr; };
    return has("clip_name") && !has("modalities") && !has("base_llm");
  } catch (const UserError&) {
    return false;  // whoever reads it in earnest tells what is wrong
  }
}

ExpertRecipe load_expert_recipe(const std::filesystem::path& file, std::span<const std::string> overrides) {
  return load_yaml<ExpertRecipe>(file, overrides, [](const Node&, ExpertRecipe& recipe, Reader& reader) { validate(recipe, reader); });
}

}  // namespace multimeditron
