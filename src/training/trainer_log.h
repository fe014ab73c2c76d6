#pragma once

#include <filesystem>

#include "checkpoint/training_state.h"
#include "recipe/training_arguments.h"
#include "tracking/progress.h"

namespace multimeditron {

/// The history that Hugging Face's Trainer keeps in trainer_state.json: one entry each `logging_steps`, the loss averaged since the last.
class TrainerLog {
 public:
  explicit TrainerLog(const TrainingArguments& arguments) : logging_steps_(arguments.logging_steps) {}

  void add(const StepRecord& record);
  /// Takes over the history of a checkpoint, if it has one, and what store() put into its state.
  void load(const std::filesystem::path& checkpoint, const TrainingState& state);
  /// Puts the losses since the last entry into `state.extra`.
  void store(TrainingState& state) const;
  TrainerState trainer_state(const TrainingState& state, const TrainingArguments& arguments) const;

 private:
  double logging_steps_;
  Json history_ = Json::array();
  double loss_sum_ = 0;
  int64_t count_ = 0;
};

}  // namespace multimeditron
