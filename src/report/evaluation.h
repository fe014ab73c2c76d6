#pragma once

#include "base/json.h"
#include "report/sources.h"
#include "report/thumbnails.h"

namespace multimeditron {

/// The tasks of an evaluation's folder (results.json, predictions-TASK.jsonl, attention-TASK.json) as the page shows them, an array of:
///   name, task, model, seconds, scorer, scores ({overall, yes_no, open, groups}), baselines ({majority, blind, swapped, ...}), as they
///   stand num_samples, samples: [{id, image, question, kind, reference, answer, score, blind_answer, ...}], at most `max_samples` of them
///   attention: [{id, image, question, reference, answer, token, grid, weights (the largest is 1), image_share, region}]
/// Images are places in `thumbnails`, -1 for one that cannot be read, absent where the sample has none or the task's table holds it. Paths
/// in the predictions count from the folder of the task's own .jsonl. `max_samples` is lowered by the samples taken. Throws UserError
/// naming a file that is not what it should be.
Json read_evaluation(const Source& source, Thumbnails& thumbnails, size_t& max_samples);

/// How many different image files read_evaluation() will ask for at most.
size_t count_images(const Source& source);

}  // namespace multimeditron
