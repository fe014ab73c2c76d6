#include "training/loop.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "checkpoint/manifest.h"
#include "models/config_reader.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kQuarantine = "quarantine";

bool is_save_step(const LoopParts& parts, int64_t step, const StepPlan::Step& plan) {
  if (parts.arguments.save_strategy == "no") return false;
  if (step == parts.plan.total_steps()) return true;
  if (parts.arguments.save_strategy == "epoch") return plan.ends_epoch;
  return step % resolve_steps(parts.arguments.save_steps, parts.plan.total_steps()) == 0;
}

void save(const LoopParts& parts, const LoopHooks& hooks, int64_t step) {
  parts.metrics.sync();
  parts.log.store(parts.state);
  hooks.store(parts.state);
  const fs::path& folder = parts.folder.path();
  write_checkpoint_folder(folder, step, [&](const fs::path& checkpoint) {
    hooks.save_model(checkpoint);
    write_training_state(checkpoint, parts.state, parts.optimizer.state());
    write_trainer_state(checkpoint, parts.log.trainer_state(parts.state, parts.arguments));
    copy_file_synced(folder / "recipe.yaml", checkpoint / "recipe.yaml");
  });
  prune_checkpoints(folder, parts.arguments.save_total_limit);
  const std::string saved = checkpoint_path(folder, step).string();
  parts.progress.event(fmt::format("saved {}", saved), {{"event", "checkpoint"}, {"step", step}, {"path", saved}});
}

}  // namespace

LoopResult run_steps(const LoopParts& parts, const LoopHooks& hooks) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  const int64_t total = parts.plan.total_steps();
  TrainingState& state = parts.state;
  parts.folder.set_state("running");
  parts.metrics.event("start", {{"step", state.step}, {"seconds_to_first_step", seconds_since_process_start()}});

  // A run of which nothing is left to do, gone on with in another folder: there too the end writes a checkpoint.
  const bool is_over = state.step >= total || hooks.is_done();
  if (is_over && parts.arguments.save_strategy != "no" && !parts.folder.newest_checkpoint()) save(parts, hooks, state.step);

  LoopResult result;
  double smoothed = 0;
  for (int64_t step = state.step; step < total && !hooks.is_done(); ++step) {
    const double waited_s = hooks.data_wait_s();
    StepRecord record = hooks.step(step);
    record.data_wait_s = hooks.data_wait_s() - waited_s;
    if (record.samples == 0 && state.samples_seen == 0) {
      const std::string found = parts.quarantine != nullptr ? parts.quarantine->last_error() : "";
      const bool is_token = found.find("attachment tokens") != std::string::npos;
      throw UserError("no sample of the first step can be used",
                      {.where = parts.folder.path().string(),
                       .found = found,
                       .fix = fmt::format("mend the data{}; quarantine.jsonl lists the samples met",
                                          is_token ? ", or set `attachment_token` to the one in their texts" : " or `loaders`")});
    }
    state.step = step + 1;
    state.epoch = record.epoch;
    state.tokens_seen += record.tokens;
    state.samples_seen += record.samples;
    result.last_loss = record.loss;
    const double speed = static_cast<double>(record.tokens) / record.seconds;
    smoothed = smoothed == 0 ? speed : 0.9 * smoothed + 0.1 * speed;
    record.tokens_per_s = smoothed;
    parts.metrics.step(record);
    parts.log.add(record);
    parts.progress.step(record);

    const bool stop = stop_requested() && step + 1 < total;
    if (stop || hooks.is_done() || is_save_step(parts, step + 1, parts.plan.step(step))) save(parts, hooks, step + 1);
    if (stop) {
      parts.metrics.event("interrupted", {{"step", step + 1}, {"signal", stop_signal_name()}});
      parts.folder.set_state("interrupted");
      parts.progress.event(fmt::format("stopped by {} after step {}; the same command goes on from here", stop_signal_name(), step + 1),
                           {{"event", "interrupted"}, {"step", step + 1}});
      throw Interrupted();
    }
  }
  result.seconds = seconds();
  parts.metrics.event("end", {{"step", state.step},
                              {"seconds", result.seconds},
                              {"peak_memory_bytes", peak_resident_bytes()},
                              {"data_wait_s", hooks.data_wait_s()}});
  parts.metrics.sync();
  return result;
}

void take_step(Optimizer& optimizer, const LearningRateSchedule& schedule, const TrainingArguments& arguments, int64_t step,
               StepRecord& record) {
  take_step(optimizer, schedule.factor(step), arguments, step, record);
}

void take_step(Optimizer& optimizer, double lr_factor, const TrainingArguments& arguments, int64_t steps_before, StepRecord& record) {
  record.grad_norm = optimizer.gradient_norm();
  if (!std::isfinite(record.loss) || !std::isfinite(record.grad_norm)) {
    // Under `logging_level: micro` the samples are known; the step's line is not written any more.
    const bool names_samples = !record.micro_samples.empty();
    throw UserError(
        "the training has diverged",
        {.where = fmt::format("step {} of {}", record.step, record.total_steps),
         .found = fmt::format("loss {}, gradient norm {}{}", record.loss, record.grad_norm,
                              names_samples ? fmt::format("; rows {}", fmt::join(record.micro_samples, ", ")) : ""),
         .fix = fmt::format("{}{}",
                            record.step == 1
                                ? "look for NaN or infinity in the weights it began with, or in its data: no step had been taken yet"
                                : "lower `learning_rate` (`lr` of train-gate) or warm up longer",
                            names_samples ? "; `multimeditron inspect --index` shows these rows" : "")});
  }
  const double clip = arguments.max_grad_norm > 0 ? std::min(1.0, arguments.max_grad_norm / (record.grad_norm + 1e-6)) : 1.0;
  optimizer.step(steps_before + 1, lr_factor, clip);
  record.learning_rate = arguments.learning_rate * lr_factor;
}

TrainingState resumed_state(const fs::path& checkpoint, RunFolder& folder) {
  if (fs::exists(checkpoint / kManifestName)) verify_checkpoint(checkpoint);
  TrainingState state = read_training_state(checkpoint);
  folder.inherit(state.micro_batches_per_step, state.run_start_date);
  return state;
}

TrainingState first_state(const RunFolder& folder, int64_t total_steps, int64_t seed, const TrainingArguments& arguments,
                          const std::string& dataset_fingerprint) {
  TrainingState state;
  state.max_steps = total_steps;
  state.micro_batches_per_step = folder.micro_batches_per_step();
  state.seed = seed;
  state.training_seed = arguments.seed;
  state.batch_size = arguments.per_device_train_batch_size;
  state.dataset_fingerprint = dataset_fingerprint;
  state.run_start_date = folder.start_date();
  return state;
}

void check_resumed(const TrainingState& state, const fs::path& checkpoint, const TrainingState& first) {
  if (state.dataset_fingerprint != first.dataset_fingerprint) {
    warn(fmt::format("{}: the data set has changed since this checkpoint was written; the order of its samples may differ",
                     checkpoint.string()));
  }
  // Any of these makes another order: some samples would come twice, others never.
  const auto compare = [&](const char* name, int64_t saved, int64_t now) {
    if (saved == now) return;
    throw UserError("the checkpoint belongs to a run that takes its samples in another order",
                    {.where = checkpoint.string(),
                     .found = fmt::format("{} {} there, {} in this recipe", name, saved, now),
                     .fix = fmt::format("write {} {}, or begin a new run with the checkpoint's weights", name, saved)});
  };
  compare("`seed`", state.seed, first.seed);
  compare("`training_args.seed`", state.training_seed, first.training_seed);
  if (state.batch_size > 0) compare("batch size", state.batch_size, first.batch_size);
  if (state.max_steps == first.max_steps) return;
  throw UserError("the checkpoint belongs to a run of another length",
                  {.where = checkpoint.string(),
                   .found = fmt::format("{} steps in all; this recipe and data set make {}", state.max_steps, first.max_steps),
                   .fix = "use the recipe and the data of the first launch, or start anew with --fresh"});
}

void store_quarantine(const Quarantine& quarantine, TrainingState& state) {
  const Quarantine::Position bad = quarantine.position();
  state.extra[kQuarantine] = {{"seen", bad.seen}, {"bad", bad.bad}, {"bytes", bad.bytes}};
}

Quarantine::Position stored_quarantine(const TrainingState& state, bool same_folder) {
  const ConfigReader extra(state.extra, "training_state.json, extra");
  if (!extra.has(kQuarantine)) return {};
  const ConfigReader reader(extra.object(kQuarantine), "training_state.json, extra.quarantine");
  const auto count = [&](const char* key) { return static_cast<int64_t>(reader.number(key, 0)); };
  return {.seen = count("seen"), .bad = count("bad"), .bytes = same_folder ? count("bytes") : 0};
}

void add_left_out(const Quarantine& quarantine, const char* what, const RunFolder& folder,
                  std::vector<std::pair<std::string, std::string>>& rows) {
  if (quarantine.count() == 0) return;
  rows.emplace_back("left out", fmt::format("{} bad {}{}, listed in {}", quarantine.count(), what, quarantine.count() == 1 ? "" : "s",
                                            (folder.path() / "quarantine.jsonl").string()));
}

int loader_threads(const TrainingArguments& arguments) {
  if (arguments.dataloader_num_workers > 0) return static_cast<int>(std::min<int64_t>(arguments.dataloader_num_workers, 64));
  return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
}

void keep_large_blocks() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc takes
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
}

void run_in_folder(RunIdentity identity, bool fresh, int64_t micro_batches_per_step, OutputMode output,
                   const std::function<void(RunFolder& folder)>& body, const std::function<void(RunFolder& folder)>& finished) {
  RunFolder folder(std::move(identity), fresh, micro_batches_per_step);
  if (folder.is_finished()) {
    Progress(output).event(fmt::format("{} is finished already; --fresh starts it anew", folder.path().string()),
                           {{"event", "finished_already"}});
    if (finished) finished(folder);
    return;
  }
  try {
    body(folder);
  } catch (const Interrupted&) {
    // Before the first step nobody else has said so; `running` is then what an earlier launch left.
    if (folder.is_claimed() && read_run_state(folder.path()) == "running") folder.set_state("interrupted");
    throw;
  } catch (...) {
    try {
      if (folder.is_claimed()) folder.set_state("failed");
    } catch (const UserError&) {
      // The first error is the one to tell: a full disk fails here too.
    }
    throw;
  }
}

}  // namespace multimeditron
