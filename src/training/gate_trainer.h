#pragma once

#include "base/output_mode.h"
#include "recipe/gate_recipe.h"

namespace multimeditron {

/// Trains the gate of a mixture as an image classifier in its output folder, with checkpoints and resume as train(). Beside the checkpoints
/// it keeps `best/`, the gate after the epoch with the best validation, which `gating_path` can name; at the end that one is measured on
/// the validation and the test draw: `gate_report.json`. Throws UserError, and Interrupted after a signal (its state is saved).
void train_gate(const GateRecipe& recipe, bool fresh, OutputMode output);

/// What `train-gate --dry-run` shows: everything is read and checked as for training, and nothing is written.
void print_gate_plan(const GateRecipe& recipe, OutputMode output);

/// Reads the configurations of the image processor and the backbone, without weights. Throws UserError where training would refuse them.
void check_gate_model(const GateRecipe& recipe);

}  // namespace multimeditron
