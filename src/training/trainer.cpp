#include "training/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "data/loader.h"
#include "models/config_reader.h"
#include "models/multimodal/pretrained.h"
#include "training/micro_batches.h"
#include "training/optimizer.h"
#include "training/plan.h"
#include "training/run_folder.h"
#include "training/schedule.h"
#include "training/trainer_log.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kQuarantine = "quarantine";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Keeps large activations mapped between steps: the allocator gives them back to the system at once otherwise, to be faulted in anew.
/// 32 MB is the largest threshold that glibc takes.
void keep_large_blocks() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
}

class Trainer {
 public:
  Trainer(const Recipe& recipe, RunFolder& folder, OutputMode output);
  void run();

 private:
  void load();
  void open_outputs();
  Quarantine::Position quarantine_position() const;
  StepRecord train_step(int64_t step);
  void save(int64_t step);
  bool is_save_step(int64_t step, const StepPlan::Step& plan) const;
  void show_header();
  void show_summary(double seconds, int64_t first_step);

  const Recipe& recipe_;
  const TrainingArguments& arguments_;
  RunFolder& folder_;
  Progress progress_;

  Pretrained pretrained_;
  std::unique_ptr<Dataset> dataset_;
  std::unique_ptr<SampleBuilder> builder_;
  MicroBatchOrder order_;
  std::optional<StepPlan> plan_;
  std::optional<LearningRateSchedule> schedule_;
  std::optional<Optimizer> optimizer_;
  std::unique_ptr<Quarantine> quarantine_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<MetricsFile> metrics_;
  TrainingState state_;
  TrainerLog log_;
  double last_loss_ = 0;
};

Trainer::Trainer(const Recipe& recipe, RunFolder& folder, OutputMode output)
    : recipe_(recipe), arguments_(recipe.training_args), folder_(folder), progress_(output), log_(recipe.training_args) {}

/// Where the weights and, on resume, the training state come from: this run's newest checkpoint, else what the recipe names.
void Trainer::load() {
  const at::ScalarType dtype = arguments_.bf16 ? at::kBFloat16 : at::kFloat;
  std::optional<fs::path> resume = folder_.newest_checkpoint();
  if (!resume && !recipe_.resume_path.empty()) resume = find_checkpoint(recipe_, recipe_.resume_path);
  if (!resume && recipe_.resume) resume = find_checkpoint(recipe_, recipe_.base_model);

  if (resume) {
    state_ = read_training_state(*resume);
    folder_.inherit(state_.micro_batches_per_step, state_.run_start_date);
  }
  Recipe source = recipe_;
  if (resume) source.base_model = fs::absolute(*resume).string();
  pretrained_ = load_from_recipe(source, dtype, LoadFor::kTraining);
  MultimodalModel& model = *pretrained_.model;
  // Several micro-batches are added up in float32; a single one may stay in the weights' dtype.
  const bool accumulates = folder_.micro_batches_per_step() > 1;
  model.set_training_mode(recipe_.training_mode, accumulates ? at::kFloat : dtype);
  optimizer_.emplace(model, arguments_, recipe_.custom_lr);

  dataset_ = open_datasets(recipe_);
  std::optional<ImageProcessor> processor;
  if (!model.config().modalities.empty()) processor = model.config().modalities.front().processor;
  builder_ = std::make_unique<SampleBuilder>(*dataset_, *pretrained_.tokenizer, prompt_options(recipe_, model, folder_.start_date()),
                                             recipe_.loaders, processor);
  order_ = make_order(recipe_, *builder_, dataset_->size(), at::get_num_threads());
  plan_.emplace(order_.batches_per_epoch, folder_.micro_batches_per_step(), arguments_);
  schedule_.emplace(arguments_, plan_->total_steps());

  if (resume) {
    optimizer_->load_state(open_optimizer_state(*resume));
    log_.load(*resume, state_);
    if (state_.dataset_fingerprint != dataset_->fingerprint()) {
      warn(fmt::format("{}: the data set has changed since this checkpoint was written; the order of its samples may differ",
                       resume->string()));
    }
    if (state_.max_steps != plan_->total_steps()) {
      throw UserError("the checkpoint belongs to a run of another length",
                      {.where = resume->string(),
                       .found = fmt::format("{} steps in all; this recipe and data set make {}", state_.max_steps, plan_->total_steps()),
                       .fix = "use the recipe and the data of the first launch, or start anew with --fresh"});
    }
  } else {
    state_.max_steps = plan_->total_steps();
    state_.micro_batches_per_step = folder_.micro_batches_per_step();
    state_.seed = recipe_.seed;
    state_.training_seed = arguments_.seed;
    state_.recipe_fingerprint = recipe_.fingerprint;
    state_.dataset_fingerprint = dataset_->fingerprint();
    state_.run_start_date = folder_.start_date();
  }
}

/// The folder is this run's from here on: its files are opened, cut back to where the run goes on, and samples are built ahead.
void Trainer::open_outputs() {
  folder_.claim(recipe_);
  metrics_ = std::make_unique<MetricsFile>(folder_.path() / "metrics.jsonl", state_.step);
  quarantine_ = std::make_unique<Quarantine>(folder_.path() / "quarantine.jsonl", recipe_.max_bad_samples);
  quarantine_->restore(quarantine_position());
  const int threads = arguments_.dataloader_num_workers > 0 ? static_cast<int>(std::min<int64_t>(arguments_.dataloader_num_workers, 64))
                                                            : static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 4U));
  const auto prefetch =
      static_cast<int>(std::max<int64_t>(folder_.micro_batches_per_step() + 1, threads * arguments_.dataloader_prefetch_factor));
  loader_ = std::make_unique<Loader>(
      *builder_, *dataset_,
      [this](int64_t number) {
        const auto [epoch, index] = plan_->locate(number);
        return order_.rows(epoch, index);
      },
      plan_->batches_before(state_.step), plan_->batches_before(plan_->total_steps()), threads, prefetch, *quarantine_);
}

/// Where the list of bad samples stood at the checkpoint. Of another folder's checkpoint only the counts hold here.
Quarantine::Position Trainer::quarantine_position() const {
  const ConfigReader extra(state_.extra, "training_state.json, extra");
  if (!extra.has(kQuarantine)) return {};
  const ConfigReader reader(extra.object(kQuarantine), "training_state.json, extra.quarantine");
  const auto count = [&](const char* key) { return static_cast<int64_t>(reader.number(key, 0)); };
  return {.seen = count("seen"), .bad = count("bad"), .bytes = folder_.newest_checkpoint() ? count("bytes") : 0};
}

/// One optimizer step. `step` counts from 0.
StepRecord Trainer::train_step(int64_t step) {
  const Clock::time_point start = Clock::now();
  const StepPlan::Step plan = plan_->step(step);
  MultimodalModel& model = *pretrained_.model;

  // All of the step's micro-batches first: how many of them have labels is part of each one's weight.
  std::vector<MicroBatch> batches;
  int64_t with_labels = 0, labels = 0;
  for (int64_t i = 0; i < plan.num_batches; ++i) {
    const SampleBatch samples = loader_->next();
    batches.push_back(make_micro_batch(samples.samples, model.image_size(), model.image_size()));
    with_labels += batches.back().num_labels() > 0;
    labels += batches.back().num_labels();
  }

  StepRecord record{.step = step + 1, .total_steps = plan_->total_steps(), .epoch = plan.epoch_after};
  for (const MicroBatch& batch : batches) {
    const double weight = recipe_.loss_reduction == "token"
                              ? 1.0 / static_cast<double>(std::max<int64_t>(1, labels))
                              : 1.0 / static_cast<double>(std::max<int64_t>(1, with_labels * batch.num_labels()));
    const MultimodalModel::Loss loss = model.forward_backward(batch, weight, arguments_.gradient_checkpointing);
    record.loss += loss.sum * weight;
    record.tokens += batch.num_tokens();
    record.samples += static_cast<int64_t>(batch.samples.size());
    if (recipe_.logging_level == "micro") {
      record.micro_losses.push_back(loss.num_labels > 0 ? loss.sum / static_cast<double>(loss.num_labels) : 0.0);
      record.micro_samples.push_back(batch.samples);
    }
  }

  record.grad_norm = optimizer_->gradient_norm();
  if (!std::isfinite(record.loss) || !std::isfinite(record.grad_norm)) {
    throw UserError("the training has diverged",
                    {.where = fmt::format("step {} of {}", step + 1, plan_->total_steps()),
                     .found = fmt::format("loss {}, gradient norm {}", record.loss, record.grad_norm),
                     .fix = "lower `learning_rate`, add `warmup_steps`, or look at the samples of this step with `logging_level: micro`"});
  }
  const double clip = arguments_.max_grad_norm > 0 ? std::min(1.0, arguments_.max_grad_norm / (record.grad_norm + 1e-6)) : 1.0;
  const double factor = schedule_->factor(step);
  optimizer_->step(step + 1, factor, clip);
  record.learning_rate = arguments_.learning_rate * factor;
  record.seconds = seconds_since(start);
  return record;
}

bool Trainer::is_save_step(int64_t step, const StepPlan::Step& plan) const {
  if (arguments_.save_strategy == "no") return false;
  if (step == plan_->total_steps()) return true;
  if (arguments_.save_strategy == "epoch") return plan.ends_epoch;
  return step % resolve_steps(arguments_.save_steps, plan_->total_steps()) == 0;
}

void Trainer::save(int64_t step) {
  metrics_->sync();
  state_.metrics_bytes = metrics_->size_bytes();
  log_.store(state_);
  const Quarantine::Position bad = quarantine_->position();
  state_.extra[kQuarantine] = {{"seen", bad.seen}, {"bad", bad.bad}, {"bytes", bad.bytes}};
  write_checkpoint_folder(folder_.path(), step, [&](const fs::path& checkpoint) {
    save_pretrained(*pretrained_.model, *pretrained_.tokenizer, checkpoint);
    write_training_state(checkpoint, state_, optimizer_->state());
    write_trainer_state(checkpoint, log_.trainer_state(state_, arguments_));
    copy_file_synced(folder_.path() / "recipe.yaml", checkpoint / "recipe.yaml");
  });
  prune_checkpoints(folder_.path(), arguments_.save_total_limit);
  const std::string saved = checkpoint_path(folder_.path(), step).string();
  progress_.event(fmt::format("saved {}", saved), {{"event", "checkpoint"}, {"step", step}, {"path", saved}});
}

void Trainer::run() {
  install_stop_signals();
  load();
  open_outputs();
  show_header();
  folder_.set_state("running");
  const int64_t first_step = state_.step;
  const Clock::time_point start = Clock::now();
  metrics_->event("start", {{"step", first_step}, {"seconds_to_first_step", seconds_since_process_start()}});

  double smoothed = 0;
  for (int64_t step = first_step; step < plan_->total_steps(); ++step) {
    StepRecord record = train_step(step);
    state_.step = step + 1;
    state_.epoch = record.epoch;
    state_.tokens_seen += record.tokens;
    state_.samples_seen += record.samples;
    last_loss_ = record.loss;
    const double speed = static_cast<double>(record.tokens) / record.seconds;
    smoothed = smoothed == 0 ? speed : 0.9 * smoothed + 0.1 * speed;
    record.tokens_per_s = smoothed;
    metrics_->step(record);
    log_.add(record);
    progress_.step(record);

    const bool stop = stop_requested();
    if (is_save_step(step + 1, plan_->step(step)) || (stop && step + 1 < plan_->total_steps())) save(step + 1);
    if (stop && step + 1 < plan_->total_steps()) {
      metrics_->event("interrupted", {{"step", step + 1}, {"signal", stop_signal_name()}});
      folder_.set_state("interrupted");
      progress_.event(fmt::format("stopped by {} after step {}; the same command goes on from here", stop_signal_name(), step + 1),
                      {{"event", "interrupted"}, {"step", step + 1}});
      throw Interrupted();
    }
  }
  metrics_->event("end", {{"step", state_.step},
                          {"seconds", seconds_since(start)},
                          {"peak_memory_bytes", peak_resident_bytes()},
                          {"data_wait_s", loader_->waited_s()}});
  metrics_->sync();
  folder_.set_state("finished");
  show_summary(seconds_since(start), first_step);
}

void Trainer::show_header() {
  const ModelSize size = measure(*pretrained_.model);
  std::vector<std::pair<std::string, std::string>> rows = describe(recipe_, *pretrained_.model, size);
  std::string data = fmt::format("{} samples in {} data set{}", format_count(dataset_->size()), recipe_.datasets.size(),
                                 recipe_.datasets.size() == 1 ? "" : "s");
  if (order_.packing_efficiency > 0) data += fmt::format(", packed to {:.1f} % of the slots", 100 * order_.packing_efficiency);
  rows.emplace_back("data", data);
  rows.emplace_back("steps", fmt::format("{}{} micro-batch{} of {} a step",
                                         state_.step > 0 ? fmt::format("{} to {}, ", state_.step + 1, plan_->total_steps())
                                                         : fmt::format("{}, ", plan_->total_steps()),
                                         folder_.micro_batches_per_step(), folder_.micro_batches_per_step() == 1 ? "" : "es",
                                         arguments_.per_device_train_batch_size));
  rows.emplace_back("runs on", fmt::format("CPU, {} thread{}, 1 rank", at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s"));
  rows.emplace_back("output", folder_.path().string());
  progress_.header(state_.step > 0 ? fmt::format("going on after step {}", state_.step) : "training", rows);
}

void Trainer::show_summary(double seconds, int64_t first_step) {
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("steps", fmt::format("{} in {}", state_.step - first_step, format_duration(seconds)));
  rows.emplace_back("loss", fmt::format("{:.4f} in the last step", last_loss_));
  rows.emplace_back("memory", format_bytes(peak_resident_bytes()) + " at most");
  rows.emplace_back("data", fmt::format("{:.0f} % of the time waited for", 100 * loader_->waited_s() / std::max(seconds, 1e-9)));
  if (quarantine_->count() > 0) {
    rows.emplace_back("left out", fmt::format("{} bad sample{}, listed in {}", quarantine_->count(), quarantine_->count() == 1 ? "" : "s",
                                              (folder_.path() / "quarantine.jsonl").string()));
  }
  const auto newest = folder_.newest_checkpoint();
  rows.emplace_back("model", newest ? newest->string() : "not saved (save_strategy: no)");
  rows.emplace_back("metrics", (folder_.path() / "metrics.jsonl").string());
  progress_.summary("finished", rows);
}

}  // namespace

PromptOptions prompt_options(const Recipe& recipe, const MultimodalModel& model, const std::string& today) {
  PromptOptions options;
  options.tokenizer_type = recipe.tokenizer_type.value_or(model.config().tokenizer_type.value_or(TokenizerType::kQwen3));
  options.label_mask = recipe.label_mask;
  options.attachment_token = model.config().attachment_token;
  options.attachment_token_id = model.config().attachment_token_id;
  options.embeddings_per_image = model.embeddings_per_image();
  if (recipe.truncation) options.max_sequence_length = recipe.max_sequence_length;
  options.today = today;
  return options;
}

void train(const Recipe& recipe, bool fresh, OutputMode output) {
  keep_large_blocks();
  RunFolder folder(recipe, fresh, recipe.training_args.gradient_accumulation_steps);
  if (folder.is_finished()) {
    Progress(output).event(fmt::format("{} is finished already; --fresh starts it anew", folder.path().string()),
                           {{"event", "finished_already"}});
    return;
  }
  try {
    Trainer trainer(recipe, folder, output);
    trainer.run();
  } catch (const Interrupted&) {
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

void print_plan(const Recipe& recipe, OutputMode output) {
  Pretrained pretrained = load_from_recipe(recipe, recipe.training_args.bf16 ? at::kBFloat16 : at::kFloat, LoadFor::kShapes);
  std::vector<std::pair<std::string, std::string>> rows = component_table(recipe, *pretrained.model);
  const std::unique_ptr<Dataset> dataset = open_datasets(recipe);
  rows.emplace_back("data", fmt::format("{} samples", format_count(dataset->size())));
  if (!recipe.pack_sequences) {
    const int64_t batch = recipe.training_args.per_device_train_batch_size, batches = (dataset->size() + batch - 1) / batch;
    const StepPlan plan([batches](int64_t) { return batches; }, recipe.training_args.gradient_accumulation_steps, recipe.training_args);
    rows.emplace_back("steps", format_count(plan.total_steps()));
  }
  Progress(output).header("what would be trained", rows);
}

}  // namespace multimeditron
