#include "training/expert_trainer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/signals.h"
#include "data/image_loader.h"
#include "data/pairs.h"
#include "data/sampler.h"
#include "models/graph.h"
#include "models/model_folder.h"
#include "models/vision/clip_model.h"
#include "text/tokenizer.h"
#include "training/clip_batches.h"
#include "training/image_batches.h"
#include "training/loop.h"
#include "training/retrieval.h"
#include "training/zero_shot.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kMostHeldOut = 1000;
const double kLargestLogitScale = std::log(100.0);  // arXiv:2103.00020, 2.5

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Pairs as the towers take them.
struct PairBatch {
  at::Tensor pixel_values;  ///< [N, 3, H, W]
  TextBatch texts;
};

PairBatch collate(std::span<const Sample> samples, const ClipModel& model) {
  std::vector<std::vector<int64_t>> ids;
  for (const Sample& sample : samples) ids.push_back(sample.text.input_ids);
  return {.pixel_values = pixels_of(samples, model.vision().config().image_size), .texts = stack_texts(ids, model)};
}

struct Embeddings {
  at::Tensor images, texts;  ///< [N, projection_dim]
};

Embeddings embed(const ClipModel& model, const PairBatch& batch) {
  return {model.embed_images(batch.pixel_values), model.embed_texts(batch.texts.input_ids, batch.texts.ends)};
}

struct ExpertParts {
  std::unique_ptr<ClipModel> model;  ///< its weights take no memory yet
  ImageProcessor processor;
  Tokenizer tokenizer;
};

/// The architecture with its tokenizer and processor; they must fit together.
ExpertParts read_parts(const fs::path& source) {
  const fs::path config = source / "config.json";
  if (fs::exists(source / "open_clip_config.json") && !fs::exists(config)) {
    throw UserError("train-expert takes CLIPs in the form of transformers'",
                    {.where = source.string(),
                     .found = "open_clip_config.json, and no config.json",
                     .fix = "name a CLIPModel of transformers', such as openai/clip-vit-base-patch32"});
  }
  ExpertParts parts{std::make_unique<ClipModel>(read_json(config), config.string()), ImageProcessor::load(source), Tokenizer::load(source)};
  const int64_t side = parts.model->vision().config().image_size;
  if (parts.processor.height() != side || parts.processor.width() != side) {
    throw UserError("the image processor and the encoder do not fit together",
                    {.where = source.string(),
                     .found = fmt::format("the processor makes {} x {} pixels, the encoder takes {} x {}", parts.processor.width(),
                                          parts.processor.height(), side, side),
                     .fix = "use the preprocessor_config.json of this encoder"});
  }
  const ClipTextConfig& text = parts.model->text().config();
  if (parts.tokenizer.max_id() >= text.vocab_size) {
    throw UserError("the tokenizer has more tokens than the text tower's embedding has rows",
                    {.where = source.string(),
                     .found = fmt::format("ids up to {}, vocab_size {}", parts.tokenizer.max_id(), text.vocab_size),
                     .fix = "check that the tokenizer's files and config.json belong together"});
  }
  return parts;
}

/// How captions become tokens of this text tower.
CaptionRule caption_rule(const ExpertRecipe& recipe, const ClipTextConfig& text, const Tokenizer& tokenizer, const fs::path& source) {
  // Old configs say 2, which is no end of text; the tokenizer knows better.
  const std::optional<int64_t> eos = text.eos_token_id > 2 ? text.eos_token_id : tokenizer.eos_token_id();
  if (!eos || *eos >= text.vocab_size) {
    throw UserError("the text tower has no end-of-text token",
                    {.where = source.string(), .fix = "set `text_config.eos_token_id` in config.json to the tokenizer's"});
  }
  const int64_t positions = text.max_position_embeddings;
  return {.eos_token_id = *eos, .max_length = recipe.max_text_length > 0 ? std::min(recipe.max_text_length, positions) : positions};
}

class ExpertTrainer {
 public:
  ExpertTrainer(const ExpertRecipe& recipe, RunFolder& folder, OutputMode output)
      : recipe_(recipe), arguments_(recipe.training_args), folder_(folder), progress_(output), log_(recipe.training_args) {}
  void run();
  void show_plan();
  void examine_finished();

 private:
  void load();
  void load_model();
  void load_data();
  void open_outputs();
  StepRecord train_step(int64_t step);
  double accumulate_gradients(std::span<const Sample> samples);
  void save_model(const fs::path& checkpoint) const;
  std::optional<Retrieval> retrieval();
  void examine_zero_shot(std::vector<std::pair<std::string, std::string>>& rows);
  void show_header(const std::string& title);
  int64_t pairs_per_step() const { return arguments_.per_device_train_batch_size * arguments_.gradient_accumulation_steps; }

  const ExpertRecipe& recipe_;
  const TrainingArguments& arguments_;
  RunFolder& folder_;
  Progress progress_;

  fs::path source_;  // where the weights come from
  std::optional<ImageProcessor> processor_;
  std::optional<Tokenizer> tokenizer_;
  std::unique_ptr<ClipModel> model_;
  std::unique_ptr<Dataset> dataset_;
  std::unique_ptr<PairBuilder> builder_;
  CaptionRule caption_rule_;
  std::optional<ZeroShot> zero_shot_;
  std::vector<int64_t> held_out_, trained_on_;  // rows
  std::optional<Sampler> sampler_;
  std::optional<StepPlan> plan_;
  std::optional<LearningRateSchedule> schedule_;
  std::optional<Optimizer> optimizer_;
  std::unique_ptr<Quarantine> quarantine_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<MetricsFile> metrics_;
  TrainingState state_;
  TrainerLog log_;
};

void ExpertTrainer::load_model() {
  ExpertParts parts = read_parts(source_);
  model_ = std::move(parts.model);
  processor_ = std::move(parts.processor);
  tokenizer_ = std::move(parts.tokenizer);
  model_->allocate(arguments_.bf16 ? at::kBFloat16 : at::kFloat);
}

void ExpertTrainer::load() {
  const std::optional<fs::path> resume = folder_.newest_checkpoint();
  if (resume) state_ = resumed_state(*resume, folder_);
  source_ = resume ? *resume : find_model_folder(recipe_.clip_name, recipe_.file.parent_path(), "clip_name");
  load_model();
  if (resume || !recipe_.from_scratch) {
    model_->load(source_);
  } else {
    model_->initialise(static_cast<uint64_t>(recipe_.seed));
  }
  // Gradients of several parts are added up in float32.
  model_->set_trained(arguments_.gradient_accumulation_steps > 1 ? at::kFloat : model_->dtype());
  optimizer_.emplace(model_->buckets(), model_->dtype(), arguments_, CustomLr{});
  load_data();
  if (resume) {
    optimizer_->load_state(open_optimizer_state(*resume));
    log_.load(*resume, state_);
    // Other data would be held out: retrieval would be measured on pairs that have been trained on.
    if (state_.dataset_fingerprint != dataset_->fingerprint()) {
      throw UserError("the data set has changed since this run's last checkpoint",
                      {.where = recipe_.file.string() + ", key datasets",
                       .found = "other files than " + resume->string() + " was trained on",
                       .fix = "put the data back, or start anew with --fresh"});
    }
    check_resumed(state_, *resume, first_state(folder_, plan_->total_steps(), recipe_.seed, arguments_, dataset_->fingerprint()));
  } else {
    state_ = first_state(folder_, plan_->total_steps(), recipe_.seed, arguments_, dataset_->fingerprint());
  }
}

void ExpertTrainer::load_data() {
  require_image_folders(recipe_.loaders, recipe_.file);
  dataset_ = open_datasets(recipe_.datasets, recipe_.file);
  caption_rule_ = caption_rule(recipe_, model_->text().config(), *tokenizer_, source_);
  builder_ = std::make_unique<PairBuilder>(*dataset_, *tokenizer_, recipe_.loaders, *processor_, recipe_.attachment_token, caption_rule_);
  if (!recipe_.zero_shot_classes.empty()) zero_shot_.emplace(recipe_).open(*processor_);

  const std::vector<int64_t> order = numpy_permutation(static_cast<uint64_t>(recipe_.seed), dataset_->size());
  const auto share = static_cast<int64_t>(std::llround(recipe_.held_out * static_cast<double>(dataset_->size())));
  const auto border = order.begin() + std::min(share, kMostHeldOut);
  held_out_.assign(order.begin(), border);
  trained_on_.assign(border, order.end());
  if (trained_on_.size() < 2) {
    throw UserError("there are too few pairs to compare", {.where = recipe_.file.string() + ", key datasets",
                                                           .found = fmt::format("{} to train on", trained_on_.size()),
                                                           .fix = "add data, or lower `held_out`"});
  }
  sampler_.emplace(static_cast<int64_t>(trained_on_.size()), recipe_.seed, arguments_.seed, pairs_per_step());
  // A batch cut short by the end of an epoch would be another, easier task: it is left out.
  const int64_t whole_batches = static_cast<int64_t>(trained_on_.size()) / pairs_per_step();
  if (whole_batches == 0) {
    throw UserError("there are too few pairs for one batch",
                    {.where = recipe_.file.string() + ", key training_args.per_device_train_batch_size",
                     .found = fmt::format("{} pairs a step, {} to train on", pairs_per_step(), trained_on_.size()),
                     .fix = "lower it or gradient_accumulation_steps, or add data"});
  }
  plan_.emplace([whole_batches](int64_t) { return whole_batches; }, 1, arguments_);
  schedule_.emplace(arguments_, plan_->total_steps());
}

void ExpertTrainer::open_outputs() {
  folder_.claim();
  metrics_ = std::make_unique<MetricsFile>(folder_.path() / "metrics.jsonl", state_.step);
  quarantine_ = std::make_unique<Quarantine>(folder_.path() / "quarantine.jsonl", recipe_.max_bad_samples);
  quarantine_->restore(stored_quarantine(state_, true));
  const auto rows_of = [this](int64_t number) {
    const auto [epoch, index] = plan_->locate(number);
    std::vector<int64_t> rows = sampler_->batch(epoch, index);
    for (int64_t& row : rows) row = trained_on_[static_cast<size_t>(row)];
    return rows;
  };
  const BatchPlan batches{rows_of, plan_->batches_before(state_.step), plan_->batches_before(plan_->total_steps())};
  loader_ = std::make_unique<Loader>(*builder_, *dataset_, batches, LoaderOptions{loader_threads(arguments_)}, *quarantine_);
}

/// Loss of the batch; its gradient goes to the buckets. Where the batch has several parts, the towers run twice: first without a graph for
/// the embeddings, whose gradients the loss gives, then part by part with one. The gradient is the whole batch's, the memory a part's.
double ExpertTrainer::accumulate_gradients(std::span<const Sample> samples) {
  const auto size = static_cast<size_t>(arguments_.per_device_train_batch_size);
  const size_t num_parts = (samples.size() + size - 1) / size;
  const auto part = [&](size_t i) { return collate(samples.subspan(i * size, std::min(size, samples.size() - i * size)), *model_); };
  const bool cached = num_parts > 1;
  GraphLeaves leaves;
  const auto embed_with_graph = [&](const PairBatch& batch) {
    leaves = GraphLeaves(*model_);
    const GraphLeaves::Scope scope(leaves);
    const at::AutoGradMode mode(true);
    return embed(*model_, batch);
  };
  std::vector<Embeddings> outputs;
  std::vector<at::Tensor> images, texts;
  for (size_t i = 0; i < num_parts; ++i) {
    outputs.push_back(cached ? embed(*model_, part(i)) : embed_with_graph(part(i)));
    images.push_back(outputs.back().images.detach());
    texts.push_back(outputs.back().texts.detach());
  }

  Parameter& logit_scale = model_->logit_scale();
  const at::Tensor all_images = at::cat(images).requires_grad_(true), all_texts = at::cat(texts).requires_grad_(true);
  const at::Tensor scale = logit_scale.data.detach().requires_grad_(true);
  at::Tensor loss;
  {
    const at::AutoGradMode mode(true);
    loss = contrastive_loss(all_images, all_texts, scale.to(at::kFloat).exp());
  }
  const auto grads = torch::autograd::grad({loss}, {all_images, all_texts, scale});
  int64_t first = 0;
  for (size_t i = 0; i < num_parts; ++i) {
    if (cached) outputs[i] = embed_with_graph(part(i));
    const int64_t count = outputs[i].images.size(0);
    leaves.backward({outputs[i].images, outputs[i].texts}, {grads[0].narrow(0, first, count), grads[1].narrow(0, first, count)});
    outputs[i] = {};
    first += count;
  }
  logit_scale.grad.add_(grads[2]);
  return loss.item<double>();
}

StepRecord ExpertTrainer::train_step(int64_t step) {
  const Clock::time_point start = Clock::now();
  const SampleBatch batch = loader_->next();
  StepRecord record{.step = step + 1, .total_steps = plan_->total_steps(), .epoch = plan_->step(step).epoch_after};
  record.samples = static_cast<int64_t>(batch.samples.size());
  for (const Sample& sample : batch.samples) {
    record.tokens += static_cast<int64_t>(sample.text.input_ids.size()) + model_->vision().config().num_patches();
  }
  if (record.samples > 1) record.loss = accumulate_gradients(batch.samples);
  take_step(*optimizer_, *schedule_, arguments_, step, record);
  optimizer_->limit(model_->logit_scale(), kLargestLogitScale);
  record.seconds = seconds_since(start);
  return record;
}

void ExpertTrainer::save_model(const fs::path& checkpoint) const {
  model_->save(checkpoint);
  write_file_atomic(checkpoint / "preprocessor_config.json", processor_->config.dump(2) + "\n");
  tokenizer_->save(checkpoint);
}

std::optional<Retrieval> ExpertTrainer::retrieval() {
  Quarantine unusable({}, 1);  // what is held out may be bad without harm to the training
  std::vector<at::Tensor> images, texts;
  std::vector<int64_t> caption_of;
  std::map<std::vector<int64_t>, int64_t> captions;
  const auto add = [&](std::span<const Sample> samples) {
    const Embeddings each = embed(*model_, collate(samples, *model_));
    images.push_back(each.images);
    texts.push_back(each.texts);
    for (const Sample& sample : samples) {
      caption_of.push_back(captions.emplace(sample.text.input_ids, static_cast<int64_t>(captions.size())).first->second);
    }
  };
  for_each_batch(*builder_, *dataset_, held_out_, arguments_.per_device_train_batch_size, loader_threads(arguments_), unusable, add);
  if (caption_of.size() < 2) return std::nullopt;
  return measure_retrieval(at::cat(images), at::cat(texts), caption_of);
}

/// Writes zero_shot.json and tells the result.
void ExpertTrainer::examine_zero_shot(std::vector<std::pair<std::string, std::string>>& rows) {
  if (recipe_.zero_shot_classes.empty()) return;
  const Classification found = zero_shot_->classify(*model_, *tokenizer_, caption_rule_, arguments_);
  Json report = found.to_json();
  if (metrics_) {
    metrics_->event("zero_shot", {{"images", report["images"]}, {"accuracy", report["accuracy"]}});
    metrics_->sync();
  }
  report.update(zero_shot_->asked());
  write_file_atomic(folder_.path() / kZeroShotFile, report.dump(1) + "\n");
  rows.emplace_back("zero-shot", fmt::format("{:.1f} % of {} images recognised among {} classes", 100 * found.accuracy(), found.images(),
                                             recipe_.zero_shot_classes.size()));
}

/// A finished run whose classes have changed since is examined anew, not trained.
void ExpertTrainer::examine_finished() {
  if (recipe_.zero_shot_classes.empty()) return;
  const fs::path file = folder_.path() / kZeroShotFile;
  zero_shot_.emplace(recipe_);
  const Json asked = zero_shot_->asked();
  const Json known = fs::exists(file) ? read_json(file) : Json::object();
  const bool is_known = std::all_of(asked.items().begin(), asked.items().end(),
                                    [&](const auto& item) { return known.is_object() && known.value(item.key(), Json()) == item.value(); });
  if (is_known) return;
  const std::optional<fs::path> checkpoint = folder_.newest_checkpoint();
  if (!checkpoint) {
    throw UserError("there is no checkpoint to examine by other classes",
                    {.where = folder_.path().string(),
                     .found = "a finished run without a checkpoint",
                     .fix = "train it again with --fresh and without `save_strategy: no`, or put the zero-shot keys back"});
  }
  source_ = *checkpoint;
  load_model();
  model_->load(source_);
  for (const auto& bucket : model_->buckets()) convert(*bucket, model_->dtype());
  caption_rule_ = caption_rule(recipe_, model_->text().config(), *tokenizer_, source_);
  zero_shot_->open(*processor_);
  metrics_ = std::make_unique<MetricsFile>(folder_.path() / "metrics.jsonl", read_training_state(source_).step);
  std::vector<std::pair<std::string, std::string>> rows;
  examine_zero_shot(rows);
  progress_.summary("examined", rows);
}

void ExpertTrainer::show_header(const std::string& title) {
  int64_t parameters = 0;
  for (const auto& bucket : model_->buckets()) parameters += bucket->numel();
  const ClipVisionConfig& vision = model_->vision().config();
  const bool random = state_.step == 0 && recipe_.from_scratch;
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("model",
                    fmt::format("CLIP, {} parameters, {} x {} pixels in {} patches; {}", format_parameters(parameters), vision.image_size,
                                vision.image_size, vision.num_patches(), random ? "random weights" : source_.string()));
  rows.emplace_back("data", fmt::format("{} pairs, {} more held out", format_count(static_cast<int64_t>(trained_on_.size())),
                                        format_count(static_cast<int64_t>(held_out_.size()))));
  rows.emplace_back("steps", fmt::format("{}{}, {} pairs a step", state_.step > 0 ? fmt::format("{} to ", state_.step + 1) : "",
                                         plan_->total_steps(), pairs_per_step()));
  rows.emplace_back("precision", arguments_.bf16 ? "bfloat16, masters in float32" : "float32");
  rows.emplace_back("runs on", fmt::format("CPU, {} thread{}, 1 rank", at::get_num_threads(), at::get_num_threads() == 1 ? "" : "s"));
  rows.emplace_back("output", folder_.path().string());
  progress_.header(title, rows);
}

/// What is there is read and checked as for training; the folder stays as it was.
void ExpertTrainer::show_plan() {
  load();
  show_header("what would be trained");
}

void ExpertTrainer::run() {
  install_stop_signals();
  load();
  open_outputs();
  show_header(state_.step > 0 ? fmt::format("going on after step {}", state_.step) : "training");
  const int64_t first_step = state_.step;
  const LoopHooks hooks{.step = [this](int64_t step) { return train_step(step); },
                        .save_model = [this](const fs::path& checkpoint) { save_model(checkpoint); },
                        .store = [this](TrainingState& state) { store_quarantine(*quarantine_, state); },
                        .data_wait_s = [this] { return loader_->waited_s(); }};
  const LoopResult result =
      run_steps({arguments_, *plan_, folder_, *optimizer_, *metrics_, progress_, state_, log_, quarantine_.get()}, hooks);
  std::vector<std::pair<std::string, std::string>> rows;
  rows.emplace_back("steps", fmt::format("{} in {}", state_.step - first_step, format_duration(result.seconds)));
  if (state_.step > first_step) rows.emplace_back("loss", fmt::format("{:.4f} in the last step", result.last_loss));
  add_left_out(*quarantine_, "pair", folder_, rows);
  if (const auto found = retrieval()) {
    metrics_->event("retrieval", to_json(*found));
    metrics_->sync();
    rows.emplace_back("retrieval", describe(*found));
  }
  examine_zero_shot(rows);
  folder_.set_state("finished");
  rows.emplace_back("memory", format_bytes(peak_resident_bytes()) + " at most");
  if (const auto newest = folder_.newest_checkpoint()) rows.emplace_back("model", newest->string());
  rows.emplace_back("metrics", (folder_.path() / "metrics.jsonl").string());
  progress_.summary("finished", rows);
}

RunIdentity expert_identity(const ExpertRecipe& recipe) {
  RunIdentity identity = identity_of(recipe);
  identity.start_key = "`clip_name`";
  return identity;
}

}  // namespace

void print_expert_plan(const ExpertRecipe& recipe, OutputMode output) {
  RunFolder folder(expert_identity(recipe), false, recipe.training_args.gradient_accumulation_steps);
  ExpertTrainer(recipe, folder, output).show_plan();
}

void train_expert(const ExpertRecipe& recipe, bool fresh, OutputMode output) {
  keep_large_blocks();
  run_in_folder(
      expert_identity(recipe), fresh, recipe.training_args.gradient_accumulation_steps, output,
      [&](RunFolder& folder) { ExpertTrainer(recipe, folder, output).run(); },
      [&](RunFolder& folder) { ExpertTrainer(recipe, folder, output).examine_finished(); });
}

void check_expert_model(const ExpertRecipe& recipe) {
  const fs::path source = find_model_folder(recipe.clip_name, recipe.file.parent_path(), "clip_name");
  const ExpertParts parts = read_parts(source);
  caption_rule(recipe, parts.model->text().config(), parts.tokenizer, source);
}

}  // namespace multimeditron
