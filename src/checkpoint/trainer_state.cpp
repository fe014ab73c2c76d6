#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/training_state.h"

namespace multimeditron {
namespace {

constexpr const char* kName = "trainer_state.json";

/// Python keeps `save_steps: 10` whole and `save_steps: 0.25` a fraction.
Json whole_or_fraction(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<int64_t>(value);
  return value;
}

}  // namespace

void write_trainer_state(const std::filesystem::path& checkpoint, const TrainerState& state) {
  const Json json = {{"best_global_step", nullptr},
                     {"best_metric", nullptr},
                     {"best_model_checkpoint", nullptr},
                     {"epoch", state.epoch},
                     {"eval_steps", whole_or_fraction(state.eval_steps)},
                     {"global_step", state.global_step},
                     {"is_hyper_param_search", false},
                     {"is_local_process_zero", true},
                     {"is_world_process_zero", true},
                     {"log_history", state.log_history},
                     {"logging_steps", whole_or_fraction(state.logging_steps)},
                     {"max_steps", state.max_steps},
                     {"num_input_tokens_seen", state.num_input_tokens_seen},
                     {"num_train_epochs", state.num_train_epochs},
                     {"save_steps", whole_or_fraction(state.save_steps)},
                     {"stateful_callbacks", Json::object()},
                     {"total_flos", 0},
                     {"train_batch_size", state.train_batch_size},
                     {"trial_name", nullptr},
                     {"trial_params", nullptr}};
  FileWriter writer(checkpoint / kName);
  writer.write(json.dump(2) + "\n");
  writer.close();
}

TrainerState read_trainer_state(const std::filesystem::path& checkpoint) {
  const Json json = read_json(checkpoint / kName);
  TrainerState state;
  const auto read = [&](const char* name, auto& field) {
    try {
      json.at(name).get_to(field);
    } catch (const Json::exception&) {
      throw UserError("this trainer state cannot be read", {.where = fmt::format("{}, key {}", (checkpoint / kName).string(), name),
                                                            .found = "nothing, or a value of the wrong kind",
                                                            .fix = "use another checkpoint of the run"});
    }
  };
  read("global_step", state.global_step);
  read("epoch", state.epoch);
  read("max_steps", state.max_steps);
  read("num_train_epochs", state.num_train_epochs);
  read("logging_steps", state.logging_steps);
  read("save_steps", state.save_steps);
  read("eval_steps", state.eval_steps);
  read("train_batch_size", state.train_batch_size);
  read("num_input_tokens_seen", state.num_input_tokens_seen);
  read("log_history", state.log_history);
  if (!state.log_history.is_array())
    throw UserError("this trainer state cannot be read", {.where = fmt::format("{}, key log_history", (checkpoint / kName).string()),
                                                          .found = state.log_history.type_name(),
                                                          .fix = "use another checkpoint of the run"});
  return state;
}

}  // namespace multimeditron
