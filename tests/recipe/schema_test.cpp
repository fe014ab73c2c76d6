#include "base/file.h"
#include "base/json.h"
#include "recipe/accepted_arguments.h"
#include "recipe/recipe_file.h"
#include "recipe/schema.h"

namespace multimeditron::testing {
namespace {

TEST(Schema, CommittedReferencePageIsCurrent) {
  EXPECT_EQ(read_file(TEST_DATA "/../../docs/recipe.md"), recipe_reference_page())
      << "run `multimeditron schema --markdown > docs/recipe.md`";
}

TEST(Schema, KnowsEveryKeyItsChoicesAndBounds) {
  const Json schema = Json::parse(recipe_json_schema(RecipeKind::kTraining));
  EXPECT_EQ(schema["additionalProperties"], false);
  const Json& keys = schema["properties"];
  EXPECT_EQ(keys["training_mode"]["anyOf"][0]["enum"], Json({"ALIGNMENT", "END2END", "LM_ONLY", "FULL"}));
  EXPECT_EQ(keys["attachment_token"]["default"], "<|reserved_special_token_0|>");
  const Json& modality = keys["modalities"]["anyOf"][0]["items"]["properties"];
  EXPECT_EQ(modality["cross_attn_dropout"]["anyOf"][0], Json({{"type", "number"}, {"minimum", 0.0}, {"exclusiveMaximum", 1.0}}));
  const Json& arguments = keys["training_args"]["anyOf"][0]["properties"];
  EXPECT_EQ(arguments["learning_rate"]["default"], 5e-5);
  for (const char* name : accepted_argument_names()) EXPECT_TRUE(arguments.contains(name)) << name;
}

TEST(Schema, ExpertsAndGatesHaveOnesOfTheirOwn) {
  const Json expert = Json::parse(recipe_json_schema(RecipeKind::kExpert))["properties"];
  EXPECT_TRUE(expert.contains("clip_name") && expert.contains("training_args"));
  EXPECT_FALSE(expert.contains("base_llm"));
  const Json gate = Json::parse(recipe_json_schema(RecipeKind::kGate))["properties"];
  EXPECT_EQ(gate["widths"]["items"]["type"], "integer");
  EXPECT_EQ(gate["dataset_class_map"]["additionalProperties"]["anyOf"][0]["type"], "string");
}

TEST(Schema, PageNamesEveryKeyOnce) {
  const std::string page = recipe_reference_page();
  for (const char* row : {"| `base_llm` |", "| `min_lr` |", "| `packed_path` |", "| `cross_attn_heads` |", "| `projector` |",
                          "| `zero_shot_class_map` |", "| `dataset_class_map` |"}) {
    const size_t first = page.find(row);
    EXPECT_NE(first, std::string::npos) << row;
    EXPECT_EQ(page.find(row, first + 1), std::string::npos) << row;
  }
}

}  // namespace
}  // namespace multimeditron::testing
