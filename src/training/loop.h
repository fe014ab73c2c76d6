#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "data/loader.h"
#include "training/optimizer.h"
#include "training/run_folder.h"
#include "training/schedule.h"
#include "training/trainer_log.h"

namespace multimeditron {

/// What a kind of training brings to the loop.
struct LoopHooks {
  std::function<StepRecord(int64_t step)> step;  ///< one optimizer step, counted from 0; fills all of the record but `tokens_per_s`
  std::function<void(const std::filesystem::path& checkpoint)> save_model;
  std::function<void(TrainingState& state)> store;  ///< adds to what a checkpoint remembers
  std::function<double()> data_wait_s;
  std::function<bool()> is_done = [] { return false; };  ///< before its last step: nothing more is to be gained
};

/// What a run works with; all of it outlives the loop.
struct LoopParts {
  const TrainingArguments& arguments;
  const StepPlan& plan;
  RunFolder& folder;
  Optimizer& optimizer;
  MetricsFile& metrics;
  Progress& progress;
  TrainingState& state;  ///< where the run goes on; kept up to date
  TrainerLog& log;
  const Quarantine* quarantine = nullptr;  ///< says why, where no sample at all can be used
};

struct LoopResult {
  double seconds = 0, last_loss = 0;
};

/// Runs a training from `state.step` to its end, whatever is trained: records each step, saves as the arguments say. A stop signal lets
/// the step end, saves, and throws Interrupted. Throws UserError where the first step finds no sample that can be used. The folder's state
/// is `running` meanwhile; the caller sets what comes after.
LoopResult run_steps(const LoopParts& parts, const LoopHooks& hooks);

/// Scales the gradients down to `max_grad_norm` and takes the step. Throws UserError where loss or gradients are no longer finite.
/// Completes `record` (loss and counts are set): gradient norm, learning rate.
void take_step(Optimizer& optimizer, const LearningRateSchedule& schedule, const TrainingArguments& arguments, int64_t step,
               StepRecord& record);
/// The same with the learning rate's factor given; `steps_before`: steps that this optimizer has taken.
void take_step(Optimizer& optimizer, double lr_factor, const TrainingArguments& arguments, int64_t steps_before, StepRecord& record);

/// The state of the run that goes on from `checkpoint`; `folder` takes over what its first launch fixed. All files are compared with the
/// manifest's hashes first. Throws UserError naming one that differs.
TrainingState resumed_state(const std::filesystem::path& checkpoint, RunFolder& folder);

/// The state of a run that begins: what later launches compare themselves with.
TrainingState first_state(const RunFolder& folder, int64_t total_steps, int64_t seed, const TrainingArguments& arguments,
                          const std::string& dataset_fingerprint);
/// Compares a resumed run's state with `first`, what this launch would begin with. Throws UserError for other seeds, another batch size or
/// number of steps; of changed data of the same length it warns.
void check_resumed(const TrainingState& state, const std::filesystem::path& checkpoint, const TrainingState& first);

/// Where the list of bad samples stands goes with a checkpoint. Read back for another folder's run, only the counts hold.
void store_quarantine(const Quarantine& quarantine, TrainingState& state);
Quarantine::Position stored_quarantine(const TrainingState& state, bool same_folder);

/// Adds the row of a summary that tells of bad samples (`what`: "sample", "pair", "image"), where there were any.
void add_left_out(const Quarantine& quarantine, const char* what, const RunFolder& folder,
                  std::vector<std::pair<std::string, std::string>>& rows);

/// Threads of the loader: `dataloader_num_workers`, or as many as are useful.
int loader_threads(const TrainingArguments& arguments);

/// Keeps large activations mapped between steps: the allocator gives them back to the system at once otherwise, to be faulted in anew.
void keep_large_blocks();

/// Takes the run's folder and runs `body` in it; sets the folder's state to `failed` where that throws, to `interrupted` where it throws
/// Interrupted before a step. A finished run is said, and left to `finished` where that is given.
void run_in_folder(RunIdentity identity, bool fresh, int64_t micro_batches_per_step, OutputMode output,
                   const std::function<void(RunFolder& folder)>& body, const std::function<void(RunFolder& folder)>& finished = nullptr);

}  // namespace multimeditron
