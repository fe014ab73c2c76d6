#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "evaluation/statistics.h"
#include "evaluation/task.h"

namespace multimeditron {

/// What was answered to one row.
struct RowAnswers {
  std::string answer;
  std::optional<std::string> blind;      ///< without the image; not set where not asked
  std::optional<std::string> swapped;    ///< on another row's images
  std::optional<size_t> swapped_images;  ///< that row
};

/// A group of rows with every contender's estimate, and the model's lead over the others.
struct GroupSummary {
  std::string breakdown, value;  ///< "kind", "side"; empty for all rows, "yes_no", "open"
  Estimate model, majority, blind, swapped;
  Estimate lead_over_majority, lead_over_blind, lead_over_swapped;
  std::string majority_answer;  ///< where all rows of the group have one kind
};

struct TaskSummary {
  GroupSummary overall, yes_no, open;
  std::vector<GroupSummary> groups;  ///< by breakdown, then value
  bool has_blind = false, has_swapped = false;
  int64_t num_images = 0;  ///< different ones
};

/// The commonest reference of each row's kind, on these rows themselves: what a guesser says who knows the test. Equally common ones: the
/// one that comes first. Compared as normalised_answer() does, given back as first written.
std::vector<std::string> majority_answers(std::span<const TaskRow> rows);

/// What chance must be judged by: rows that share an image, directly or through others, have the same label. A row without an image stands
/// for itself.
std::vector<std::string> clusters_of(std::span<const TaskRow> rows);

/// Scores and intervals. A row without an image has its own answer for a blind and a swapped one; rows on images for which there was no
/// other image to ask them with are left out of `swapped` and its lead. `answers`: one a row of the task.
TaskSummary summarise(const Task& task, std::span<const RowAnswers> answers, uint64_t seed);

/// The task's part of results.json, as far as the scores go: `exact_match` and `baselines`.
Json to_json(const TaskSummary& summary);

/// The lines of predictions-TASK.jsonl.
std::string predictions_jsonl(const Task& task, std::span<const RowAnswers> answers);

}  // namespace multimeditron
