#pragma once

#include <string>

#include "evaluation/summary.h"
#include "evaluation/task.h"

namespace multimeditron {

/// A task's accuracies for a terminal: a line a kind and one for all, each with n, the model's accuracy and its interval, and what the
/// baselines reach. Percent. `colour`: ANSI styles.
std::string score_table(const Task& task, const TaskSummary& summary, bool colour);

}  // namespace multimeditron
