#pragma once

#include "base/json.h"
#include "report/sources.h"

namespace multimeditron {

/// At most so many points of a curve go into the page; a longer run's are means over equally many steps each.
inline constexpr size_t kMaxCurvePoints = 1500;

/// A training run as the page shows it:
///   name, state ("finished", "interrupted", "failed", "running", "" where it is not known), mode (training_mode), recipe (its text)
///   steps_per_point, columns: {step, epoch, loss, grad_norm, learning_rate and every other number that each line has: [a value a point]}
///   totals: {steps, last_step, tokens, samples, seconds}, from the steps' lines
///   gate: of `train-gate`, what gate_report.json says of classes, epoch, validation and test; else empty
///   events: the other lines, in order, each with `event` and its numbers and words
/// Lines that are not JSON (a torn last one) are passed over.
Json read_training_run(const Source& source);

}  // namespace multimeditron
