#include "recipe/expert_recipe.h"

#include "base/error.h"
#include "base/file.h"
#include "recipe/fields.h"
#include "recipe/load.h"
#include "recipe/validate.h"

namespace multimeditron {

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
