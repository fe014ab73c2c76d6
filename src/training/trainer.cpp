#include "training/trainer.h"

#include <ATen/Parallel.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "data/image_loader.h"
#include "models/multimodal/pretrained.h"
#include "recipe/missing.h"
#include "training/loop.h"
#include "training/micro_batches.h"
#include "training/plan.h"

namespace multimeditron {
namespace {

/// "1,200 samples", with weights of data sets "900 samples an epoch, of 1,200".
std::string count_samples(const Dataset& dataset) {
  const int64_t taken = dataset.rows_per_epoch(), all = dataset.size();
  return taken == all ? fmt::format("{} samples", format_count(all))
                      : fmt::format("{} samples an epoch, of {}", format_count(taken), format_count(all));
}

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Images made ready that are kept in case they occur again.
constexpr int64_t kImageCacheBytes = int64_t{64} << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Of a micro-batch, counted over the run: the same whether the run was interrupted or not. The generator takes 32 bits of it.
uint64_t dropout_seed(int64_t seed, int64_t number) {
  return (static_cast<uint64_t>(seed) * 2654435761U + static_cast<uint64_t>(number) + 1) & 0xffffffffU;
}

class Trainer {
 public:
  Trainer(const Recipe& recipe, RunFolder& folder, OutputMode output);
  void run();

 private:
  void load();
  void open_outputs();
  StepRecord train_step(int64_t step);
  ExpertPasses expert_passes() const;
  void show_header();
  void show_summary(const LoopResult& result, int64_t first_step);

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
  bool has_warned_of_length_ = false;
};

Trainer::Trainer(const Recipe& recipe, RunFolder& folder, OutputMode output)
    : recipe_(recipe), arguments_(recipe.training_args), folder_(folder), progress_(output), log_(recipe.training_args) {}

/// Where the weights and, on resume, the training state come from: this run's newest checkpoint, else what the recipe names.
void Trainer::load() {
  const at::ScalarType dtype = arguments_.bf16 ? at::kBFloat16 : at::kFloat;
  std::optional<fs::path> resume = folder_.newest_checkpoint();
  if (!resume && !recipe_.resume_path.empty()) resume = find_checkpoint(recipe_, recipe_.resume_path);
  if (!resume && recipe_.resume) resume = find_checkpoint(recipe_, recipe_.base_model);

  if (resume) state_ = resumed_state(*resume, folder_);
  Recipe source = recipe_;
  if (resume) source.base_model = fs::absolute(*resume).string();
  pretrained_ = load_from_recipe(source, dtype, LoadFor::kTraining);
  MultimodalModel& model = *pretrained_.model;
  // Several micro-batches are added up in float32; a single one may stay in the weights' dtype.
  const bool accumulates = folder_.micro_batches_per_step() > 1;
  model.set_training_mode(recipe_.training_mode, accumulates ? at::kFloat : dtype);
  optimizer_.emplace(model.buckets(), model.dtype(), arguments_, recipe_.custom_lr);

  require_image_folders(recipe_.loaders, recipe_.file);
  dataset_ = open_datasets(recipe_);
  std::optional<ImageProcessor> processor;
  if (!model.config().modalities.empty()) processor = model.config().modalities.front().processor;
  builder_ = std::make_unique<SampleBuilder>(*dataset_, *pretrained_.tokenizer,
                                             prompt_options(recipe_, model, *pretrained_.tokenizer, folder_.start_date()), recipe_.loaders,
                                             processor);
  builder_->set_image_cache(kImageCacheBytes);
  order_ = recipe_.pack_sequences ? order_of_packs(recipe_, *dataset_, *builder_, at::get_num_threads(), progress_)
                                  : order_of_samples(recipe_, *dataset_);
  has_warned_of_length_ = warn_beyond_positions(order_.longest, model.config().llm.max_position_embeddings);
  plan_.emplace(order_.batches_per_epoch, folder_.micro_batches_per_step(), arguments_);
  schedule_.emplace(arguments_, plan_->total_steps());

  const TrainingState first = first_state(folder_, plan_->total_steps(), recipe_.seed, arguments_, dataset_->fingerprint());
  if (resume) {
    check_resumed(state_, *resume, first);
    optimizer_->load_state(open_optimizer_state(*resume));
    log_.load(*resume, state_);
  } else {
    state_ = first;
  }
}

/// The folder is this run's from here on: its files are opened, cut back to where the run goes on, and samples are built ahead.
void Trainer::open_outputs() {
  folder_.claim();
  metrics_ = std::make_unique<MetricsFile>(folder_.path() / "metrics.jsonl", state_.step);
  quarantine_ = std::make_unique<Quarantine>(folder_.path() / "quarantine.jsonl", recipe_.max_bad_samples);
  quarantine_->restore(stored_quarantine(state_, folder_.newest_checkpoint().has_value()));
  const int threads = loader_threads(arguments_);
  const int64_t prefetch = std::max(folder_.micro_batches_per_step() + 1, threads * arguments_.dataloader_prefetch_factor);
  loader_ = std::make_unique<Loader>(*builder_, *dataset_, plan_batches(order_, *plan_, state_.step),
                                     LoaderOptions{.num_threads = threads, .prefetch = prefetch}, *quarantine_);
}

/// One optimizer step. `step` counts from 0.
StepRecord Trainer::train_step(int64_t step) {
  const Clock::time_point start = Clock::now();
  const StepPlan::Step plan = plan_->step(step);
  MultimodalModel& model = *pretrained_.model;

  // All of the step's micro-batches first: how many of them have labels is part of each one's weight.
  std::vector<MicroBatch> batches;
  int64_t with_labels = 0, labels = 0;
  size_t num_images = 0;
  for (int64_t i = 0; i < plan.num_batches; ++i) {
    const SampleBatch samples = loader_->next();
    batches.push_back(make_micro_batch(samples.samples, model.image_size(), model.image_size()));
    batches.back().dropout_seed = dropout_seed(recipe_.seed, plan_->batches_before(step) + i);
    num_images += batches.back().image_of.size();
    with_labels += batches.back().num_labels() > 0;
    labels += batches.back().num_labels();
    const std::vector<int64_t>& ends = batches.back().layout.cu_seqlens;
    for (size_t s = 1; s < ends.size() && !has_warned_of_length_; ++s) {
      has_warned_of_length_ = warn_beyond_positions(ends[s] - ends[s - 1], model.config().llm.max_position_embeddings);
    }
  }

  if (num_images == 0 && labels > 0 && state_.samples_seen == 0 && recipe_.training_mode == TrainingMode::kAlignment) {
    throw UserError(
        "no sample of the first step has an image, and ALIGNMENT trains on nothing else",
        {.where = recipe_.file.string() + ", key datasets",
         .found = quarantine_->count() > 0 ? quarantine_->last_error() : "rows without `modalities`",
         .fix = "give each row `modalities: [{type: image, value: ...}]` and the `attachment_token` in its text (docs/training.md)"});
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

  take_step(*optimizer_, *schedule_, arguments_, step, record);
  record.seconds = seconds_since(start);
  return record;
}

void Trainer::run() {
  install_stop_signals();
  load();
  open_outputs();
  show_header();
  const int64_t first_step = state_.step;
  const LoopHooks hooks{
      .step = [this](int64_t step) { return train_step(step); },
      .save_model = [this](const fs::path& folder) { save_pretrained(*pretrained_.model, *pretrained_.tokenizer, folder); },
      .store = [this](TrainingState& state) { store_quarantine(*quarantine_, state); },
      .data_wait_s = [this] { return loader_->waited_s(); }};
  const LoopResult result =
      run_steps({arguments_, *plan_, folder_, *optimizer_, *metrics_, progress_, state_, log_, quarantine_.get()}, hooks);
  if (const ExpertPasses passes = expert_passes(); passes.all > 0) {
    metrics_->event("expert_passes", {{"run", passes.run}, {"all", passes.all}});
    metrics_->sync();
  }
  folder_.set_state("finished");
  show_summary(result, first_step);
}

ExpertPasses Trainer::expert_passes() const {
  ExpertPasses sum;
  for (const auto& modality : pretrained_.model->modalities()) {
    sum.run += modality->expert_passes().run;
    sum.all += modality->expert_passes().all;
  }
  return sum;
}

void Trainer::show_header() {
  const ModelSize size = measure(*pretrained_.model);
  std::vector<std::pair<std::string, std::string>> rows = describe(recipe_, *pretrained_.model, size);
  std::string data =
      fmt::format("{} in {} data set{}", count_samples(*dataset_), recipe_.datasets.size(), recipe_.datasets.size() == 1 ? "" : "s");
  rows.emplace_back("data", data);
  rows.insert(rows.end(), order_.description.begin(), order_.description.end());
  rows.emplace_back("steps", fmt::format("{}{} micro-batch{} of {} a step",
                                         state_.step >= plan_->total_steps() ? fmt::format("all {} done, ", plan_->total_steps())
                                         : state_.step > 0 ? fmt::format("{} to {}, ", state_.step + 1, plan_->total_steps())
                                                           : fmt::format("{}, ", plan_->total_steps()),
                                         folder_.micro_batches_per_step(), folder_.micro_batches_per_step() == 1 ? "" : "es",
                                         arguments_.per_device_train_batch_size));
  rows.emplace_back("runs on", fmt::format("CPU, {} thread{}, 1 rank", at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s"));
  rows.emplace_back("output", folder_.path().string());
  progress_.header(state_.step > 0 ? fmt::format("going on after step {}", state_.step) : "training", rows);
}

void Trainer::show_summary(const LoopResult& result, int64_t first_step) {
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("steps", fmt::format("{} in {}", state_.step - first_step, format_duration(result.seconds)));
  if (state_.step > first_step) rows.emplace_back("loss", fmt::format("{:.4f} in the last step", result.last_loss));
  rows.emplace_back("memory", format_bytes(peak_resident_bytes()) + " at most");
  std::string data = fmt::format("{:.1f} % of the time waited for, {} at most ready ahead",
                                 100 * loader_->waited_s() / std::max(result.seconds, 1e-9), format_bytes(loader_->peak_bytes()));
  if (const ImageCacheUse use = builder_->image_cache_use(); use.found > 0) {
    data += fmt::format(", {:.0f} % of the images met again", 100 * static_cast<double>(use.found) / static_cast<double>(use.asked));
  }
  rows.emplace_back("data", data);
  if (const ExpertPasses passes = expert_passes(); passes.run < passes.all) {
    rows.emplace_back(
        "experts", fmt::format("ran on {} of {} images times experts, {:.0f} % spared", format_count(passes.run), format_count(passes.all),
                               100.0 * static_cast<double>(passes.all - passes.run) / static_cast<double>(passes.all)));
  }
  add_left_out(*quarantine_, "sample", folder_, rows);
  const auto newest = folder_.newest_checkpoint();
  rows.emplace_back("model", newest ? newest->string() : "not saved (save_strategy: no)");
  rows.emplace_back("metrics", (folder_.path() / "metrics.jsonl").string());
  progress_.summary("finished", rows);
}

}  // namespace

PromptOptions prompt_options(const Recipe& recipe, const MultimodalModel& model, const Tokenizer& tokenizer, const std::string& today) {
  PromptOptions options;
  options.chat_format = find_chat_format(tokenizer, recipe.tokenizer_type.value_or(TokenizerType::kAuto), recipe.label_mask, today);
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
  run_in_folder(identity_of(recipe), fresh, recipe.training_args.gradient_accumulation_steps, output,
                [&](RunFolder& folder) { Trainer(recipe, folder, output).run(); });
}

void print_plan(const Recipe& recipe, OutputMode output) {
  const std::vector<std::string> missing = missing_parts(recipe);
  const Pretrained pretrained = load_from_recipe(recipe, recipe.training_args.bf16 ? at::kBFloat16 : at::kFloat, LoadFor::kPlan);
  std::vector<std::pair<std::string, std::string>> rows = component_table(recipe, *pretrained.model);
  std::ranges::move(expert_table(*pretrained.model), std::back_inserter(rows));
  if (!pretrained.tokenizer) rows.emplace_back("tokenizer", "not there: the embedding is counted with config.json's vocab_size");
  if (!missing.empty()) rows.emplace_back("missing", fmt::format("{}", fmt::join(missing, ", ")));
  const bool has_data = std::ranges::none_of(missing, [](const std::string& part) { return part.starts_with("datasets."); });
  const std::unique_ptr<Dataset> dataset = has_data ? open_datasets(recipe) : nullptr;
  Progress progress(output);
  if (dataset) rows.emplace_back("data", count_samples(*dataset));
  if (dataset && (pretrained.tokenizer || !recipe.pack_sequences)) {
    std::optional<SampleBuilder> builder;
    if (recipe.pack_sequences)
      builder.emplace(*dataset, *pretrained.tokenizer, prompt_options(recipe, *pretrained.model, *pretrained.tokenizer, today_iso_date()),
                      recipe.loaders, std::nullopt);
    const MicroBatchOrder order =
        builder ? order_of_packs(recipe, *dataset, *builder, at::get_num_threads(), progress) : order_of_samples(recipe, *dataset);
    rows.insert(rows.end(), order.description.begin(), order.description.end());
    warn_beyond_positions(order.longest, pretrained.model->config().llm.max_position_embeddings);
    const StepPlan plan(order.batches_per_epoch, recipe.training_args.gradient_accumulation_steps, recipe.training_args);
    rows.emplace_back("steps", format_count(plan.total_steps()));
  }
  progress.header("what would be trained", rows);
}

}  // namespace multimeditron
