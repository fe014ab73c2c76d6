#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/safetensors.h"

namespace multimeditron {

/// Where a run stands, beside its weights: all that is needed to go on as if it had never stopped, on any number of ranks. The order of the
/// samples is a function of seeds, step and data set, so a position is enough. `checkpoint-STEP/training_state/training_state.json`.
struct TrainingState {
  int64_t step = 0;                    ///< optimizer steps done
  double epoch = 0;                    ///< passes over the data done, with the fraction of the present one
  int64_t max_steps = 0;               ///< steps of the whole run, as the schedule counts them
  int64_t micro_batches_per_step = 1;  ///< M: world size at the first launch times gradient accumulation; kept for the run's life
  int64_t seed = 0;                    ///< the recipe's `seed`: shuffling of the data set
  int64_t training_seed = 42;          ///< `training_args.seed`: order of each epoch, dropout
  int64_t batch_size = 0;              ///< samples (or packs) of a micro-batch; 0: unknown, saved by an older program
  std::string dataset_fingerprint;
  std::string run_start_date;  ///< "2026-11-24": what a chat template that asks for today's date gets
  int64_t tokens_seen = 0;
  int64_t samples_seen = 0;
  Json extra = Json::object();  ///< what the trainer adds; an object
};

/// The three tensors that AdamW keeps for a parameter NAME: `master.NAME` (fp32 weights), `exp_avg.NAME`, `exp_avg_sq.NAME`.
enum class OptimizerPart { kMaster, kExpAvg, kExpAvgSq };
std::string optimizer_key(OptimizerPart part, const std::string& parameter);

/// Writes `checkpoint/training_state/`: training_state.json and the optimizer's tensors (named by optimizer_key) as optimizer.safetensors,
/// in shards where large. Tensors are stored whole, by parameter name, so that any number of ranks can read them. Throws UserError (full
/// disk).
void write_training_state(const std::filesystem::path& checkpoint, const TrainingState& state, std::vector<TensorSource> optimizer_tensors);

/// Throws UserError: no training state (a checkpoint to start from, not to resume), another version's, or a field missing, of the wrong
/// kind or out of range.
TrainingState read_training_state(const std::filesystem::path& checkpoint);
bool has_training_state(const std::filesystem::path& checkpoint);

/// The optimizer's tensors, mapped. Throws UserError.
SafetensorsReader open_optimizer_state(const std::filesystem::path& checkpoint);

/// One of them, fp32, of the parameter's shape. Throws UserError where it is missing or differs (the recipe trains other parameters now).
const TensorView& optimizer_tensor(const SafetensorsReader& reader, OptimizerPart part, const std::string& parameter,
                                   const std::vector<int64_t>& shape);

/// `trainer_state.json` as Hugging Face's Trainer writes it, for programs that look there.
struct TrainerState {
  int64_t global_step = 0;
  double epoch = 0;
  int64_t max_steps = 0;
  int64_t num_train_epochs = 0;
  double logging_steps = 500, save_steps = 500, eval_steps = 500;  ///< below 1: a share of all steps
  int64_t train_batch_size = 0;                                    ///< per device
  int64_t num_input_tokens_seen = 0;
  Json log_history = Json::array();  ///< {epoch, grad_norm, learning_rate, loss, step} a logged step
};

void write_trainer_state(const std::filesystem::path& checkpoint, const TrainerState& state);
/// Throws UserError where the file is missing or malformed.
TrainerState read_trainer_state(const std::filesystem::path& checkpoint);

}  // namespace multimeditron
