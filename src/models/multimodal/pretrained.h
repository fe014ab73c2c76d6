#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "models/multimodal/model.h"
#include "recipe/recipe.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// A model with its tokenizer (which has the attachment token; null only where LoadFor::kPlan found none).
struct Pretrained {
  std::unique_ptr<MultimodalModel> model;
  std::unique_ptr<Tokenizer> tokenizer;
};

/// What a model is loaded for.
enum class LoadFor {
  kInference,
  kTraining,  ///< what the recipe trains stays in float32 until an Optimizer takes it over: a float32 file gives exact masters in a bf16
              ///< run
  kShapes,    ///< the tree without memory or weights
  kPlan,      ///< as kShapes, from configurations alone: there may be no tokenizer, and in place of a `base_model` that is not there yet
              ///< stands what the recipe builds it of
};

/// The model that a recipe starts from: `base_model` (a checkpoint: its config decides the architecture), or `base_llm` with the encoders
/// named in `modalities` and a new projector drawn from the recipe's seed. Weights in `dtype`. Throws UserError for whatever is missing,
/// truncated, misshapen or does not fit together.
Pretrained load_from_recipe(const Recipe& recipe, at::ScalarType dtype, LoadFor purpose = LoadFor::kInference);

/// The checkpoint that a recipe names, in `base_model` or `resume_from_checkpoint`: looked for beside the recipe and in the hub's folders;
/// a run's folder gives its newest one. Throws UserError.
std::filesystem::path find_checkpoint(const Recipe& recipe, const std::string& name);

/// A checkpoint folder, ours or the original's, or a plain language model. Parts that it names but does not carry are looked for as
/// base/hub.h says, last in `base_llm` where given.
Pretrained load_checkpoint(const std::filesystem::path& folder, at::ScalarType dtype, const std::string& base_llm = "",
                           bool shapes_only = false);

/// The dtype in which a checkpoint's tensors are stored (its config's `dtype` or `torch_dtype`): for `generate --dtype auto`.
at::ScalarType stored_dtype(const std::filesystem::path& folder);

/// config.json, model.safetensors (sharded where large), tokenizer and processor files: the original's layout, self-contained. A model
/// without modalities becomes a plain language model's folder. Only parameters are read; call it inside write_checkpoint_folder.
void save_pretrained(MultimodalModel& model, const Tokenizer& tokenizer, const std::filesystem::path& folder);

}  // namespace multimeditron
