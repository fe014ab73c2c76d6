#pragma once

#include <string>

#include "data/sample.h"
#include "models/multimodal/model.h"
#include "recipe/recipe.h"
#include "tracking/progress.h"

namespace multimeditron {

/// Trains a recipe in its output folder: goes on where an earlier launch stopped, saves as the recipe says, and on a stop signal. Throws
/// UserError, and Interrupted after a signal (its state is saved).
void train(const Recipe& recipe, bool fresh, OutputMode output);

/// What `train --dry-run` shows: components with parameters, trainable share, dtype and learning rate; data, steps. Loads no weights.
void print_plan(const Recipe& recipe, OutputMode output);

/// The options of a recipe's prompts for a model. `today`: for chat templates that ask for the date.
PromptOptions prompt_options(const Recipe& recipe, const MultimodalModel& model, const Tokenizer& tokenizer, const std::string& today);

}  // namespace multimeditron
