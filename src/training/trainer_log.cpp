#include "training/trainer_log.h"

#include <cmath>

#include "models/config_reader.h"
#include "training/schedule.h"

namespace multimeditron {
namespace {

constexpr const char* kKey = "trainer_log";

}  // namespace

void TrainerLog::add(const StepRecord& record) {
  loss_sum_ += record.loss;
  ++count_;
  if (record.step % resolve_steps(logging_steps_, record.total_steps) != 0 && record.step != record.total_steps) return;
  history_.push_back({{"epoch", record.epoch},
                      {"grad_norm", record.grad_norm},
                      {"learning_rate", record.learning_rate},
                      {"loss", loss_sum_ / static_cast<double>(count_)},
                      {"step", record.step}});
  loss_sum_ = 0;
  count_ = 0;
}

void TrainerLog::store(TrainingState& state) const {
  state.extra[kKey] = {{"loss_sum", loss_sum_}, {"count", count_}};
}

void TrainerLog::load(const std::filesystem::path& checkpoint, const TrainingState& state) {
  const ConfigReader extra(state.extra, "training_state.json, extra");
  if (extra.has(kKey)) {
    const ConfigReader reader(extra.object(kKey), "training_state.json, extra.trainer_log");
    loss_sum_ = reader.number("loss_sum", 0);
    count_ = static_cast<int64_t>(reader.number("count", 0));
  }
  if (std::filesystem::exists(checkpoint / "trainer_state.json")) history_ = read_trainer_state(checkpoint).log_history;
}

TrainerState TrainerLog::trainer_state(const TrainingState& state, const TrainingArguments& arguments) const {
  TrainerState result;
  result.global_step = state.step;
  result.epoch = state.epoch;
  result.max_steps = state.max_steps;
  result.num_train_epochs = static_cast<int64_t>(std::ceil(arguments.num_train_epochs));
  result.logging_steps = arguments.logging_steps;
  result.save_steps = arguments.save_steps;
  result.train_batch_size = arguments.per_device_train_batch_size;
  result.num_input_tokens_seen = state.tokens_seen;
  result.log_history = history_;
  return result;
}

}  // namespace multimeditron
