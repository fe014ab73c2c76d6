#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "data/packer.h"
#include "data/sampler.h"
#include "models/multimodal/pretrained.h"
#include "recipe/recipe.h"
#include "tracking/progress.h"
#include "training/optimizer.h"
#include "training/run_folder.h"
#include "training/schedule.h"

namespace multimeditron {

/// What became of a run.
struct TrainResult {
  int64_t steps = 0;                ///< done in all
  bool was_finished = false;        ///< nothing was to be done
  double final_loss = 0;
};

/// Trains a recipe in its output folder: goes on where an earlier launch stopped, saves as the recipe says, and on a stop signal. Throws UserError,
/// and Interrupted after a signal (its state is saved).
TrainResult train(const Recipe& recipe, bool fresh, OutputMode output);

/// What `train --dry-run` shows: components with parameters, trainable share, dtype and learning rate; data, steps. Loads no weights.
void print_plan(const Recipe& recipe, OutputMode output);

/// The options of a recipe's prompts for a model. `today`: for chat templates that ask for the date.
PromptOptions prompt_options(const Recipe& recipe, const MultimodalModel& model, const std::string& today);

}  // namespace multimeditron
