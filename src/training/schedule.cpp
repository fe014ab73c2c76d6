#include "training/schedule.h"

#include <algorithm>
#include <cmath>

namespace multimeditron {

StepPlan::StepPlan(const std::function<int64_t(int64_t)>& batches_per_epoch, int64_t micro_batches_per_step,
                   const TrainingArguments& arguments)
    : micro_batches_per_step_(micro_batches_per_step) {
  int64_t number = 0;
  const auto add_epoch = [&] {
    const int64_t batches = batches_per_epoch(num_epochs());
    const int64_t steps = (batches + micro_batches_per_step - 1) / micro_batches_per_step;
    first_step_.push_back(total_steps_);
    first_number_.push_back(number);
    batches_.push_back(batches);
    number += batches;
    total_steps_ += steps;
    return steps;
  };
  if (arguments.max_steps > 0) {
    while (total_steps_ < arguments.max_steps) add_epoch();
    total_steps_ = arguments.max_steps;
    return;
  }
  const double epochs = arguments.num_train_epochs, whole = std::floor(epochs);
  for (double epoch = 0; epoch < whole; ++epoch) add_epoch();
  if (epochs > whole) {
    // The product is rounded as Hugging Face's Trainer does it: the fraction alone, 0.2 of 2.2, would have lost digits.
    const int64_t before = total_steps_;
    const auto steps = static_cast<double>(add_epoch());
    total_steps_ = before + static_cast<int64_t>(std::ceil(epochs * steps) - whole * steps);
  }
}

StepPlan::Step StepPlan::step(int64_t step) const {
  const auto next = std::upper_bound(first_step_.begin(), first_step_.end(), step);
  const auto e = static_cast<size_t>(next - first_step_.begin()) - 1;
  Step result;
  result.epoch = static_cast<int64_t>(e);
  result.first_batch = (step - first_step_[e]) * micro_batches_per_step_;
  result.num_batches = std::min(micro_batches_per_step_, batches_[e] - result.first_batch);
  result.first_number = first_number_[e] + result.first_batch;
  result.ends_epoch = result.first_batch + result.num_batches == batches_[e];
  result.epoch_after =
      static_cast<double>(e) + static_cast<double>(result.first_batch + result.num_batches) / static_cast<double>(batches_[e]);
  return result;
}

int64_t StepPlan::batches_before(int64_t step) const {
  if (step == 0) return 0;
  const Step last = this->step(step - 1);
  return last.first_number + last.num_batches;
}

std::pair<int64_t, int64_t> StepPlan::locate(int64_t number) const {
  const auto next = std::upper_bound(first_number_.begin(), first_number_.end(), number);
  const auto e = static_cast<size_t>(next - first_number_.begin()) - 1;
  return {static_cast<int64_t>(e), number - first_number_[e]};
}

int64_t resolve_steps(double value, int64_t total_steps) {
  const double steps = value < 1 ? std::ceil(value * static_cast<double>(total_steps)) : value;
  return std::max<int64_t>(1, static_cast<int64_t>(steps));
}

LearningRateSchedule::LearningRateSchedule(const TrainingArguments& arguments, int64_t total_steps)
    : arguments_(arguments), total_(total_steps) {
  const double total = static_cast<double>(total_steps);
  const double warmup = arguments.warmup_steps > 0 ? (arguments.warmup_steps < 1 ? arguments.warmup_steps * total : arguments.warmup_steps)
                                                   : arguments.warmup_ratio * total;
  warmup_ = static_cast<int64_t>(std::ceil(warmup));
}

double LearningRateSchedule::factor(int64_t step) const {
  const std::string& type = arguments_.lr_scheduler_type;
  if (type == "constant") return 1;
  const double s = static_cast<double>(step), warmup = static_cast<double>(warmup_), total = static_cast<double>(total_);
  if (step < warmup_) return s / std::max(1.0, warmup);
  if (type == "constant_with_warmup") return 1;
  if (type == "inverse_sqrt") {
    const double timescale = warmup_ > 0 ? warmup : 10000;
    return 1 / std::sqrt((s + timescale - warmup) / timescale);
  }
  const double progress = (s - warmup) / std::max(1.0, total - warmup);
  if (type == "linear") return std::max(0.0, (total - s) / std::max(1.0, total - warmup));
  if (type == "polynomial") {
    if (step > total_) return arguments_.lr_end / arguments_.learning_rate;
    const double range = arguments_.learning_rate - arguments_.lr_end;
    return (range * std::pow(1 - progress, arguments_.power) + arguments_.lr_end) / arguments_.learning_rate;
  }
  if (type == "cosine_with_restarts") {
    if (progress >= 1) return 0;
    return std::max(0.0, 0.5 * (1 + std::cos(M_PI * std::fmod(arguments_.num_cycles * progress, 1.0))));
  }
  const double cosine = 0.5 * (1 + std::cos(M_PI * arguments_.num_cycles * 2 * progress));
  if (type == "cosine_with_min_lr") {
    const double floor = arguments_.min_lr_rate ? *arguments_.min_lr_rate : arguments_.min_lr.value_or(0) / arguments_.learning_rate;
    return std::max(0.0, cosine * (1 - floor) + floor);
  }
  return std::max(0.0, cosine);
}

}  // namespace multimeditron
