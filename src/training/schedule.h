#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "recipe/training_arguments.h"

namespace multimeditron {

/// Which micro-batches make up each optimizer step: a function of the data's size and the arguments alone, so that a run can go on at any
/// step.
class StepPlan {
 public:
  /// One optimizer step: micro-batches [first_batch, first_batch + num_batches) of `epoch`.
  struct Step {
    int64_t epoch = 0, first_batch = 0, num_batches = 0;
    int64_t first_number = 0;  ///< of first_batch, counted over all epochs
    double epoch_after = 0;    ///< epochs done after this step, with fraction
    bool ends_epoch = false;
  };

  /// `batches_per_epoch(e)`: micro-batches of epoch e (they differ where samples are packed). `micro_batches_per_step`: M; the last step of
  /// an epoch takes what is left. Total: `max_steps`, or the steps of `num_train_epochs` (rounded up), as Hugging Face's Trainer.
  StepPlan(const std::function<int64_t(int64_t)>& batches_per_epoch, int64_t micro_batches_per_step, const TrainingArguments& arguments);

  int64_t total_steps() const { return total_steps_; }
  int64_t num_epochs() const { return static_cast<int64_t>(first_step_.size()); }
  /// `step` counts from 0.
  Step step(int64_t step) const;
  /// Number of micro-batches of the first `step` steps.
  int64_t batches_before(int64_t step) const;
  /// Epoch and index of micro-batch `number`, counted over all epochs.
  std::pair<int64_t, int64_t> locate(int64_t number) const;
  /// Which of its step's micro-batches `number` is: decides the rank that computes it.
  int64_t index_in_step(int64_t number) const { return locate(number).second % micro_batches_per_step_; }

 private:
  int64_t micro_batches_per_step_, total_steps_ = 0;
  std::vector<int64_t> first_step_, first_number_, batches_;  // by epoch
};

/// `value` below 1 is a share of all steps, rounded up; else a number of steps (`save_steps`, `logging_steps`).
int64_t resolve_steps(double value, int64_t total_steps);

/// The learning rate's factor of `step` (from 0), as transformers' get_scheduler: multiplied with the base rate of each parameter group.
class LearningRateSchedule {
 public:
  LearningRateSchedule(const TrainingArguments& arguments, int64_t total_steps);
  double factor(int64_t step) const;
  int64_t warmup_steps() const { return warmup_; }

 private:
  TrainingArguments arguments_;
  int64_t total_, warmup_;
};

}  // namespace multimeditron
