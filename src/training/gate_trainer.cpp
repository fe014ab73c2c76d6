#include "training/gate_trainer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "data/sampler.h"
#include "models/config_reader.h"
#include "models/graph.h"
#include "models/model_folder.h"
#include "models/vision/gating_network.h"
#include "training/classification.h"
#include "training/gate_batches.h"
#include "training/gate_data.h"
#include "training/image_batches.h"
#include "training/loop.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kWarmupStart = 0.01;             // of the learning rate
constexpr double kUnfrozenRate = 0.1;             // of `lr`, once the backbone is trained too
constexpr const char* kBest = "best";             // folder of the best gate
constexpr const char* kBestEpoch = "epoch.json";  // in it: the epoch that it comes from
constexpr const char* kProgress = "gate";         // in training_state.json, extra
/// What `best/` holds, in the order of writing: weights never stand under the epoch of earlier ones.
constexpr std::array<const char*, 4> kBestFiles{"config.json", "preprocessor_config.json", kBestEpoch, "model.safetensors"};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TrainingArguments arguments_of(const GateRecipe& recipe) {
  TrainingArguments arguments;
  arguments.output_dir = recipe.output_dir;
  arguments.learning_rate = recipe.lr;
  arguments.weight_decay = recipe.weight_decay;
  arguments.max_grad_norm = 0;
  arguments.per_device_train_batch_size = recipe.batch_size;
  arguments.gradient_accumulation_steps = recipe.gradient_accumulation_steps;
  arguments.num_train_epochs = static_cast<double>(recipe.num_epochs);
  arguments.seed = recipe.seed;
  arguments.dataloader_num_workers = recipe.num_workers;
  return arguments;
}

/// Is there a gate of this epoch in `best`?
bool holds_gate_of(const fs::path& best, int64_t epoch) {
  if (!fs::exists(best / "model.safetensors") || !fs::exists(best / kBestEpoch)) return false;
  const Json json = read_json(best / kBestEpoch);
  return json.is_object() && json.value("epoch", Json()) == epoch;
}

/// How the best epoch so far came out.
struct Best {
  int64_t epoch = 0;  ///< 0: none yet
  double accuracy = 0, loss = 0;
  int64_t epochs_since = 0;

  bool is_beaten_by(const Classification& other) const {
    return epoch == 0 || other.accuracy() > accuracy || (other.accuracy() == accuracy && other.loss() < loss);
  }
};

std::optional<fs::path> backbone_of(const GateRecipe& recipe) {
  if (recipe.pretrained_backbone.empty()) return std::nullopt;
  return find_model_folder(recipe.pretrained_backbone, recipe.file.parent_path(), "pretrained_backbone");
}

GateConfig gate_config(const GateRecipe& recipe, const std::optional<fs::path>& backbone) {
  return {.num_classes = recipe.num_classes,
          .top_k = recipe.top_k,
          .class_names = recipe.class_names,
          .image_processor = recipe.image_processor_path,
          .resnet = backbone ? backbone_shape(*backbone) : ResNetShape::from_widths(recipe.widths, recipe.blocks)};
}

class GateTrainer {
 public:
  GateTrainer(const GateRecipe& recipe, RunFolder& folder, OutputMode output)
      : recipe_(recipe), arguments_(arguments_of(recipe)), folder_(folder), progress_(output), log_(arguments_) {}
  void run();
  void show_plan();

 private:
  void load();
  void load_gate_from(const std::optional<fs::path>& resume);
  void plan();
  void open_outputs();
  void enter_phase(int64_t step);
  std::unique_ptr<Loader> make_loader(int64_t step);
  GateFeatures compute_features(const std::vector<int64_t>& rows, const char* what, Quarantine& quarantine);
  StepRecord train_step(int64_t step);
  double accumulate_gradients(int64_t step, StepRecord& record);
  Classification measure(const LabelledImages& images, const std::vector<int64_t>& rows, const GateFeatures* features);
  void finish_epoch(int64_t step, int64_t epoch);
  void save_gate_into(const fs::path& folder);
  void save_best();
  void show_header(const std::string& title);
  void report();

  int64_t steps_per_epoch() const { return plan_->total_steps() / recipe_.num_epochs; }
  /// The first step that trains the backbone too.
  int64_t unfreeze_step() const {
    if (!recipe_.is_frozen_at_first()) return 0;
    if (!recipe_.unfreeze_after_epoch) return plan_->total_steps();
    return std::min(plan_->total_steps(), *recipe_.unfreeze_after_epoch * steps_per_epoch());
  }
  bool is_frozen(int64_t step) const { return step < unfreeze_step(); }
  bool uses_features(int64_t step) const { return is_frozen(step) && !recipe_.augment; }
  double lr_factor(int64_t step) const;

  const GateRecipe& recipe_;
  TrainingArguments arguments_;
  RunFolder& folder_;
  Progress progress_;

  GateData data_;
  std::unique_ptr<GatingNetwork> gate_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  std::string start_;  // what the weights were at first, in words
  std::optional<Sampler> sampler_;
  std::optional<StepPlan> plan_;
  std::optional<Optimizer> optimizer_;
  std::optional<bool> frozen_;  // what the optimizer was made for
  std::unique_ptr<Quarantine> quarantine_;
  std::unique_ptr<Loader> loader_;
  std::optional<GateFeatures> features_, validation_features_;
  std::unique_ptr<MetricsFile> metrics_;
  double waited_s_ = 0;
  TrainingState state_;
  Best best_;
  std::vector<MappedFile> other_best_;  // of another run, for ours: mapped, since --fresh may rename its folder
  TrainerLog log_;
};

void GateTrainer::load_gate_from(const std::optional<fs::path>& resume) {
  const std::optional<fs::path> backbone = backbone_of(recipe_);
  gate_ = std::make_unique<GatingNetwork>(gate_config(recipe_, backbone));
  buckets_ = gate_->make_buckets("", "gate");
  for (const auto& bucket : buckets_) allocate(*bucket, at::kFloat);
  if (resume) {
    load_gate(*gate_, *resume);
    return;
  }
  gate_->resnet().initialise(static_cast<uint64_t>(recipe_.seed));
  if (backbone) load_gate(*gate_, *backbone, GatePart::kBackbone);
  start_ = backbone ? backbone->string() : "random weights";
}

void GateTrainer::plan() {
  sampler_.emplace(static_cast<int64_t>(data_.train.size()), recipe_.seed, recipe_.seed, recipe_.batch_size);
  // A batch cut short by the end of an epoch would have poor statistics: it is left out.
  const int64_t whole_batches = std::max<int64_t>(1, static_cast<int64_t>(data_.train.size()) / recipe_.batch_size);
  plan_.emplace([whole_batches](int64_t) { return whole_batches; }, recipe_.gradient_accumulation_steps, arguments_);
  arguments_.save_steps = static_cast<double>(recipe_.save_every_n_epochs * steps_per_epoch());
  arguments_.logging_steps = static_cast<double>(steps_per_epoch());
  log_ = TrainerLog(arguments_);
}

void GateTrainer::load() {
  std::optional<fs::path> resume = folder_.newest_checkpoint();
  const bool from_another_run = !resume && !recipe_.resume_from.empty();
  if (from_another_run) resume = find_model_folder(recipe_.resume_from, recipe_.file.parent_path(), "resume_from");
  if (resume) state_ = resumed_state(*resume, folder_);
  data_ = open_gate_data(recipe_);
  plan();
  load_gate_from(resume);
  const TrainingState first = first_state(folder_, plan_->total_steps(), recipe_.seed, arguments_, data_.fingerprint());
  if (!resume) {
    state_ = first;
    return;
  }
  // Other data would be drawn otherwise: the gate would be measured on images that it has been trained on.
  if (state_.dataset_fingerprint != data_.fingerprint()) {
    throw UserError("the data sets have changed since this run's last checkpoint",
                    {.where = recipe_.file.string() + ", key dataset_class_map",
                     .found = "other files than " + resume->string() + " was trained on",
                     .fix = "put the data back, or start anew with --fresh"});
  }
  check_resumed(state_, *resume, first);
  enter_phase(state_.step - 1);
  optimizer_->load_state(open_optimizer_state(*resume));
  log_.load(*resume, state_);
  const ConfigReader extra(state_.extra, "training_state.json, extra");
  const ConfigReader reader(extra.object(kProgress), "training_state.json, extra.gate");
  best_ = {.epoch = static_cast<int64_t>(reader.number("best_epoch", 0)),
           .accuracy = reader.number("best_accuracy", 0),
           .loss = reader.number("best_loss", 0),
           .epochs_since = static_cast<int64_t>(reader.number("epochs_since", 0))};
  if (best_.epoch == 0 || data_.validation.empty()) return;
  // A later epoch's gate in this run's own folder is replaced when that epoch comes again; another run's would be taken for this epoch's.
  const fs::path best = (from_another_run ? (*resume / "..").lexically_normal() : folder_.path()) / kBest;
  const bool is_there = from_another_run ? holds_gate_of(best, best_.epoch) : fs::exists(best / "model.safetensors");
  if (!is_there) {
    warn(fmt::format("the best gate so far, of epoch {}, is not beside {}: the best of the epochs from here on is taken", best_.epoch,
                     resume->string()));
    best_ = {};
  } else if (from_another_run) {
    for (const char* file : kBestFiles) other_best_.emplace_back(best / file);
  }
}

void GateTrainer::open_outputs() {
  folder_.claim();
  if (!other_best_.empty()) fs::create_directories(folder_.path() / kBest);
  for (const MappedFile& file : other_best_) {
    const std::span<const std::byte> bytes = file.bytes();
    write_file_atomic(folder_.path() / kBest / file.path().filename(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  other_best_.clear();
  metrics_ = std::make_unique<MetricsFile>(folder_.path() / "metrics.jsonl", state_.step);
  quarantine_ = std::make_unique<Quarantine>(folder_.path() / "quarantine.jsonl", recipe_.max_bad_samples);
  quarantine_->restore(stored_quarantine(state_, folder_.newest_checkpoint().has_value()));
}

double GateTrainer::lr_factor(int64_t step) const {
  const double s = static_cast<double>(step), warmup = static_cast<double>(recipe_.warmup_epochs * steps_per_epoch());
  if (s < warmup) return kWarmupStart + (1 - kWarmupStart) * s / warmup;
  if (recipe_.scheduler == "constant") return 1;
  return 0.5 * (1 + std::cos(M_PI * (s - warmup) / (static_cast<double>(plan_->total_steps()) - warmup)));
}

/// Makes the optimizer for what `step` trains, where that has changed: moments begin anew.
void GateTrainer::enter_phase(int64_t step) {
  const bool frozen = is_frozen(step);
  if (frozen_ == frozen) return;
  frozen_ = frozen;
  for (const auto& bucket : buckets_) set_trained(*bucket, !frozen || bucket->name == "resnet.fc", at::kFloat);
  arguments_.learning_rate = recipe_.is_frozen_at_first() && !frozen ? kUnfrozenRate * recipe_.lr : recipe_.lr;
  optimizer_.emplace(buckets_, at::kFloat, arguments_, CustomLr{}, Decay::kAll);
}

std::unique_ptr<Loader> GateTrainer::make_loader(int64_t step) {
  const auto rows_of = [this](int64_t number) {
    const auto [epoch, index] = plan_->locate(number);
    std::vector<int64_t> rows = sampler_->batch(epoch, index);
    for (int64_t& row : rows) {
      row = data_.train[static_cast<size_t>(row)];
      if (recipe_.augment) row = data_.images->augmented(row, epoch);
    }
    return rows;
  };
  const BatchPlan batches{rows_of, plan_->batches_before(step), plan_->batches_before(plan_->total_steps())};
  return std::make_unique<Loader>(*data_.images, *data_.images, batches, LoaderOptions{loader_threads(arguments_)}, *quarantine_);
}

GateFeatures GateTrainer::compute_features(const std::vector<int64_t>& rows, const char* what, Quarantine& quarantine) {
  GateFeatures features;
  std::vector<at::Tensor> parts;
  const LabelledImages& images = *data_.images;
  for_each_batch(images, images, rows, recipe_.batch_size, loader_threads(arguments_), quarantine, [&](std::span<const Sample> samples) {
    parts.push_back(gate_->resnet().features(pixels_of(samples, data_.side)));
    for (const Sample& sample : samples) features.place.emplace(sample.index, static_cast<int64_t>(features.place.size()));
    progress_.count({what, static_cast<int64_t>(features.place.size()), static_cast<int64_t>(rows.size())});
  });
  if (!parts.empty()) features.values = at::cat(parts);
  return features;
}

/// The step's gradient goes to the buckets: the mean over its micro-batches. Returns the loss.
double GateTrainer::accumulate_gradients(int64_t step, StepRecord& record) {
  struct Part {
    at::Tensor input;  ///< pixels, or features
    at::Tensor labels;
  };
  std::vector<Part> parts;
  const StepPlan::Step plan = plan_->step(step);
  for (int64_t i = 0; i < plan.num_batches; ++i) {
    std::vector<int64_t> numbers;
    at::Tensor input;
    if (features_) {
      std::vector<int64_t> rows = sampler_->batch(plan.epoch, plan.first_batch + i);
      for (int64_t& row : rows) row = data_.train[static_cast<size_t>(row)];
      input = features_->take(rows, numbers);
    } else {
      const SampleBatch batch = loader_->next();
      numbers = numbers_of(batch.samples);
      if (!numbers.empty()) input = pixels_of(batch.samples, data_.side);
    }
    if (numbers.empty()) continue;
    record.samples += static_cast<int64_t>(numbers.size());
    if (!features_ && is_frozen(step)) {
      const at::NoGradGuard no_grad;
      input = gate_->resnet().features(input);
    }
    parts.push_back({input, labels_of(*data_.images, numbers)});
  }
  double sum = 0;
  for (const Part& part : parts) {
    GraphLeaves leaves(*gate_);
    at::Tensor loss;
    {
      const GraphLeaves::Scope scope(leaves);
      const at::AutoGradMode mode(true);
      // A single image has no variance where the last stage leaves one place.
      const BatchNormMode norm = part.input.size(0) > 1 ? BatchNormMode::kBatch : BatchNormMode::kRunning;
      const at::Tensor features = is_frozen(step) ? part.input : gate_->resnet().features(part.input, norm);
      loss =
          at::cross_entropy_loss(gate_->resnet().classify(features), part.labels, {}, at::Reduction::Mean, -100, recipe_.label_smoothing);
    }
    sum += loss.item<double>();
    leaves.backward({loss}, {at::tensor(1.0 / static_cast<double>(parts.size()), at::kFloat)});
  }
  return parts.empty() ? 0 : sum / static_cast<double>(parts.size());
}

StepRecord GateTrainer::train_step(int64_t step) {
  const Clock::time_point start = Clock::now();
  enter_phase(step);
  if (uses_features(step)) {
    Quarantine counted({}, 1);  // a run that goes on has listed its bad images already
    if (!features_) features_ = compute_features(data_.train, "features", state_.step == 0 ? *quarantine_ : counted);
  } else {
    features_.reset();
    if (!loader_) loader_ = make_loader(step);
  }
  const StepPlan::Step plan = plan_->step(step);
  StepRecord record{.step = step + 1, .total_steps = plan_->total_steps(), .epoch = plan.epoch_after};
  record.loss = accumulate_gradients(step, record);
  const int64_t steps_before = is_frozen(step) ? step : step - unfreeze_step();
  take_step(*optimizer_, lr_factor(step), arguments_, steps_before, record);
  if (loader_) waited_s_ = loader_->waited_s();
  record.seconds = seconds_since(start);
  if (plan.ends_epoch) finish_epoch(step, plan.epoch + 1);
  return record;
}

Classification GateTrainer::measure(const LabelledImages& images, const std::vector<int64_t>& rows, const GateFeatures* features) {
  Classification result(recipe_.labels());
  const auto add = [&](const at::Tensor& of_batch, std::span<const int64_t> numbers) {
    const at::NoGradGuard no_grad;
    const at::Tensor logits = gate_->resnet().classify(of_batch).to(at::kDouble).contiguous();
    const at::Tensor losses = at::cross_entropy_loss(logits, labels_of(images, numbers), {}, at::Reduction::None);
    const at::Tensor predictions = logits.argmax(1);
    for (size_t i = 0; i < numbers.size(); ++i) {
      result.add(images.label(numbers[i]), predictions.const_data_ptr<int64_t>()[i], losses.const_data_ptr<double>()[i]);
    }
  };
  if (features != nullptr) {
    std::vector<int64_t> numbers;
    const at::Tensor values = features->take(rows, numbers);
    if (!numbers.empty()) add(values, numbers);
    return result;
  }
  Quarantine unusable({}, 1);
  for_each_batch(images, images, rows, recipe_.batch_size, loader_threads(arguments_), unusable, [&](std::span<const Sample> samples) {
    add(gate_->resnet().features(pixels_of(samples, data_.side)), numbers_of(samples));
  });
  return result;
}

void GateTrainer::finish_epoch(int64_t step, int64_t epoch) {
  if (data_.validation.empty()) {
    best_.epoch = epoch;
    return;
  }
  if (!is_frozen(step)) validation_features_.reset();
  Quarantine unusable({}, 1);  // an image that is only measured may be bad without harm to the training
  if (is_frozen(step) && !validation_features_) validation_features_ = compute_features(data_.validation, "validation", unusable);
  const Classification validation = measure(*data_.images, data_.validation, validation_features_ ? &*validation_features_ : nullptr);
  const bool better = best_.is_beaten_by(validation);
  if (better) {
    best_ = {.epoch = epoch, .accuracy = validation.accuracy(), .loss = validation.loss()};
    save_best();
  } else {
    ++best_.epochs_since;
  }
  const Json fields{{"step", step + 1}, {"epoch", epoch}, {"loss", validation.loss()}, {"accuracy", validation.accuracy()}};
  metrics_->event("validation", fields);
  Json shown = fields;
  shown["event"] = "validation";
  progress_.event(fmt::format("epoch {}: validation {:.1f} %, loss {:.4f}{}", epoch, 100 * validation.accuracy(), validation.loss(),
                              better ? ", the best so far" : ""),
                  shown);
}

void GateTrainer::save_gate_into(const fs::path& folder) {
  save_gate(*gate_, folder);
  write_file_atomic(folder / "preprocessor_config.json", data_.processor.config.dump(2) + "\n");
}

/// Replaces the weights in `best/` by one rename, after the other files.
void GateTrainer::save_best() {
  const fs::path folder = folder_.path() / kBest, partial = folder_.path() / ".best.partial";
  fs::remove_all(partial);
  fs::create_directories(partial);
  fs::create_directories(folder);
  save_gate_into(partial);
  write_file_atomic(partial / kBestEpoch, Json{{"epoch", best_.epoch}}.dump() + "\n");
  for (const char* file : kBestFiles) fs::rename(partial / file, folder / file);
  fs::remove_all(partial);
  sync_folder(folder);
}

void GateTrainer::show_header(const std::string& title) {
  int64_t parameters = 0;
  for (const auto& bucket : buckets_) parameters += bucket->role == Role::kLearnt ? bucket->numel() : 0;
  std::string course = "the whole network";
  if (recipe_.is_frozen_at_first()) {
    course = "the classifier alone";
    if (is_frozen(unfreeze_step() - 1) && unfreeze_step() < plan_->total_steps())
      course += fmt::format(", from epoch {} the whole network", *recipe_.unfreeze_after_epoch + 1);
  }
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("model", fmt::format("ResNet, {} parameters, {} classes, {} x {} pixels{}", format_parameters(parameters),
                                         recipe_.num_classes, data_.side, data_.side, start_.empty() ? "" : "; " + start_));
  rows.emplace_back("trained", course);
  rows.emplace_back("data", fmt::format("{} images, {} for validation, {} for the test", format_count(std::ssize(data_.train)),
                                        format_count(std::ssize(data_.validation)), format_count(std::ssize(data_.test))));
  rows.emplace_back("steps", fmt::format("{}{}, {} images a step", state_.step > 0 ? fmt::format("{} to ", state_.step + 1) : "",
                                         plan_->total_steps(), recipe_.batch_size * recipe_.gradient_accumulation_steps));
  rows.emplace_back("runs on", fmt::format("CPU, {} thread{}, 1 rank", at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s"));
  rows.emplace_back("output", folder_.path().string());
  progress_.header(title, rows);
}

/// What is there is read and checked as for training; the folder stays as it was.
void GateTrainer::show_plan() {
  load();
  show_header("what would be trained");
}

/// Measures the best gate.
void GateTrainer::report() {
  const fs::path best = folder_.path() / kBest;
  // Without a validation draw the last one is the best there is; so it is where no epoch came after the loss of an earlier `best/`.
  if (data_.validation.empty() || best_.epoch == 0) {
    best_.epoch = std::llround(state_.epoch);
    save_best();
  }
  for (const auto& bucket : buckets_) set_trained(*bucket, false, at::kFloat);
  load_gate(*gate_, best);
  Json json{
      {"gate", kBest}, {"epoch", best_.epoch}, {"epochs", static_cast<int64_t>(std::llround(state_.epoch))}, {"classes", recipe_.labels()}};
  std::vector<std::pair<std::string, std::string>> rows;
  const auto add = [&](const char* name, const LabelledImages& images, const std::vector<int64_t>& drawn) {
    if (drawn.empty()) return;
    const Classification result = measure(images, drawn, nullptr);
    json[name] = result.to_json();
    rows.emplace_back(name, fmt::format("{:.1f} % of {} images", 100 * result.accuracy(), format_count(result.images())));
    for (auto& [label, text] : result.rows()) rows.emplace_back("  " + label, text);
  };
  add("validation", *data_.images, data_.validation);
  add("test", data_.tested(), data_.test);
  write_file_atomic(folder_.path() / "gate_report.json", json.dump(2) + "\n");
  metrics_->event("gate_report", json);
  metrics_->sync();
  folder_.set_state("finished");
  rows.emplace_back("memory", format_bytes(peak_resident_bytes()) + " at most");
  add_left_out(*quarantine_, "image", folder_, rows);
  rows.emplace_back("gate", fmt::format("{}, of epoch {}", best.string(), best_.epoch));
  rows.emplace_back("metrics", (folder_.path() / "metrics.jsonl").string());
  progress_.summary("finished", rows);
}

void GateTrainer::run() {
  install_stop_signals();
  load();
  open_outputs();
  show_header(state_.step > 0 ? fmt::format("going on after step {}", state_.step) : "training");
  const LoopHooks hooks{
      .step = [this](int64_t step) { return train_step(step); },
      .save_model = [this](const fs::path& checkpoint) { save_gate_into(checkpoint); },
      .store =
          [this](TrainingState& state) {
            store_quarantine(*quarantine_, state);
            state.extra[kProgress] = {{"best_epoch", best_.epoch},
                                      {"best_accuracy", best_.accuracy},
                                      {"best_loss", best_.loss},
                                      {"epochs_since", best_.epochs_since}};
          },
      .data_wait_s = [this] { return waited_s_; },
      .is_done = [this] { return recipe_.early_stopping_patience > 0 && best_.epochs_since >= recipe_.early_stopping_patience; }};
  // The optimizer is replaced in its place when the backbone thaws.
  enter_phase(state_.step);
  run_steps({arguments_, *plan_, folder_, *optimizer_, *metrics_, progress_, state_, log_, quarantine_.get()}, hooks);
  loader_.reset();
  report();
}

RunIdentity gate_identity(const GateRecipe& recipe) {
  return {recipe.output_dir, recipe.fingerprint, recipe.effective_yaml, "`pretrained_backbone`"};
}

}  // namespace

void print_gate_plan(const GateRecipe& recipe, OutputMode output) {
  RunFolder folder(gate_identity(recipe), false, recipe.gradient_accumulation_steps);
  GateTrainer(recipe, folder, output).show_plan();
}

void train_gate(const GateRecipe& recipe, bool fresh, OutputMode output) {
  keep_large_blocks();
  run_in_folder(gate_identity(recipe), fresh, recipe.gradient_accumulation_steps, output,
                [&](RunFolder& folder) { GateTrainer(recipe, folder, output).run(); });
}

void check_gate_model(const GateRecipe& recipe) {
  gate_processor(recipe);
  const GatingNetwork network(gate_config(recipe, backbone_of(recipe)));
}

}  // namespace multimeditron
