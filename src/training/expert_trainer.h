#pragma once

#include "base/output_mode.h"
#include "recipe/expert_recipe.h"

namespace multimeditron {

/// Trains a CLIP on pairs of images and captions (arXiv:2103.00020) in its output folder, with checkpoints and resume as train(). What it
/// writes are CLIPModel folders that `clip_name` can name. At the end, retrieval is measured on the pairs that were held out. Throws
/// UserError, and Interrupted after a signal (its state is saved).
void train_expert(const ExpertRecipe& recipe, bool fresh, OutputMode output);

/// What `train-expert --dry-run` shows: everything is read and checked as for training, and nothing is written.
void print_expert_plan(const ExpertRecipe& recipe, OutputMode output);

/// Reads `clip_name`'s configurations, without its weights. Throws UserError where they do not fit together.
void check_expert_model(const ExpertRecipe& recipe);

}  // namespace multimeditron
