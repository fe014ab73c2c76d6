#include "models/multimodal/pretrained.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/normal.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/hub.h"
#include "base/log.h"
#include "base/process.h"
#include "checkpoint/folder.h"
#include "models/config_reader.h"
#include "models/model_folder.h"
#include "models/multimodal/checkpoint_config.h"
#include "models/multimodal/tensor_sources.h"
#include "models/tensors.h"
#include "text/chat_format.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEmbedding = "model.model.embed_tokens.weight";
constexpr const char* kHead = "model.lm_head.weight";

std::string modality_prefix(size_t k) {
  return fmt::format("modalities_with_projection.{}.", k);
}

WeightFile language_model_weights(const fs::path& folder) {
  return {.path = folder, .rename = [](const std::string& name) { return "model." + name; }, .part = "model."};
}

/// In a checkpoint of the original's, an open_clip model may stand inside a wrapper, whose name is in front of all of its tensors.
void find_prefix(VisionConfig& vision, const TensorSources& sources, const std::string& modality) {
  if (vision.kind != VisionKind::kTimmVit) return;
  const std::string extractor = modality + "feature_extractor.", trunk = std::string(tower_name(vision.kind)) + ".";
  for (const auto& [name, found] : sources.all()) {
    if (!name.starts_with(extractor) || name.find(trunk) == std::string::npos) continue;
    vision.prefix = open_clip_prefix(name.substr(extractor.size()));
    return;
  }
}

/// What the files hold beside the tree's tensors (a CLIPModel's text tower, projections, logit_scale) travels along.
void add_passengers(MultimodalModel& model, const TensorSources& sources) {
  for (size_t k = 0; k < model.modalities().size(); ++k) {
    const std::string prefix = modality_prefix(k);
    for (const auto& [name, found] : sources.all()) {
      if (name.starts_with(prefix)) model.modalities()[k]->add_passenger(name.substr(prefix.size()), found.view->shape);
    }
  }
}

/// Copies rows of the embedding or the head; rows that the file lacks are drawn: the attachment token's, as a rule.
void copy_rows(Parameter& parameter, const at::Tensor& source, double initializer_range, uint64_t seed) {
  const int64_t rows = std::min(parameter.shape[0], source.size(0));
  parameter.data.narrow(0, 0, rows).copy_(source.narrow(0, 0, rows));
  if (rows == parameter.shape[0]) return;
  if (parameter.shape[0] - rows > 1) {
    warn(fmt::format("the tokenizer has {} tokens, {} only {} rows: the others are drawn at random", parameter.shape[0], parameter.name,
                     rows));
  }
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const std::vector<int64_t> shape{parameter.shape[0] - rows, parameter.shape[1]};
  parameter.data.narrow(0, rows, shape[0]).copy_(at::normal(0.0, initializer_range, shape, generator, at::kFloat));
}

/// `resize_vocabulary`: embedding and head may have other rows than the file's. `draw_projector`: projectors, which no file has, are drawn.
void copy_weights(MultimodalModel& model, const TensorSources& sources, const fs::path& folder, bool resize_vocabulary, bool draw_projector,
                  uint64_t seed) {
  std::map<fs::path, std::vector<std::string>> missing;  // by the folder that ought to hold them
  std::vector<UserError> errors;
  for (Parameter* parameter : model.parameters()) {
    const TensorSources::Found* found = sources.find(parameter->name);
    if (found == nullptr && parameter->role == Role::kCount) {
      parameter->data.zero_();  // old gates do without, and nothing computes with it
      continue;
    }
    if (found == nullptr) {
      if (!(draw_projector && component_of(parameter->name) == "projector"))
        missing[sources.home_of(parameter->name)].push_back(parameter->name);
      continue;
    }
    const bool table = resize_vocabulary && (parameter->name == kEmbedding || parameter->name == kHead);
    std::vector<int64_t> expected = parameter->shape;
    if (table && found->view->shape.size() == 2) expected[0] = found->view->shape[0];
    if (found->view->shape != expected) {
      errors.push_back(wrong_shape(found->file, found->name, found->view->shape, expected));
      continue;
    }
    if (!errors.empty() || !missing.empty()) continue;
    if (table) {
      copy_rows(*parameter, to_tensor(*found->view), model.config().llm.initializer_range, seed + (parameter->name == kHead ? 2 : 1));
    } else {
      parameter->data.copy_(to_tensor(*found->view));
    }
  }
  for (const auto& [home, lacking] : missing) {
    const size_t shown = std::min<size_t>(lacking.size(), 5);
    std::string names = fmt::format("{}", fmt::join(lacking.begin(), lacking.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
    if (lacking.size() > shown) names += fmt::format(" and {} more", lacking.size() - shown);
    errors.insert(errors.begin(), UserError("tensors are missing", {.where = home.string(),
                                                                    .found = "no " + names,
                                                                    .fix = "check that config.json and the weights belong together"}));
  }
  if (!errors.empty()) throw UserErrors(std::move(errors), kShownErrors);
  std::vector<std::string> unknown;
  std::map<std::string, bool> known;
  for (const Parameter* parameter : model.parameters()) known[parameter->name] = true;
  for (const auto& [name, found] : sources.all()) {
    const bool ignored = name == kHead || name.ends_with("position_ids") || name.ends_with("rotary_emb.inv_freq");
    if (!ignored && !known.contains(name)) unknown.push_back(found.name);
  }
  if (!unknown.empty()) {
    warn(fmt::format("{}: {} tensor(s) do not belong to this model and are left out, the first is {}", folder.string(), unknown.size(),
                     unknown.front()));
  }
  if (draw_projector) {
    for (auto& modality : model.modalities()) modality->initialise(seed);
  }
}

/// A batch's images all go through the first modality.
void check_one_modality(size_t count, const std::string& where) {
  if (count <= 1) return;
  throw UserError("one modality can be run by this version",
                  {.where = where + ", key modalities", .found = fmt::format("{} entries", count), .fix = "name a single one"});
}

void check_token_size(const Recipe& recipe, const DecoderConfig& llm, const std::string& source) {
  if (recipe.token_size != 0 && recipe.token_size != llm.hidden_size) {
    throw UserError("token_size differs from the language model's hidden_size",
                    {.where = recipe.file.string() + ", key token_size",
                     .found = fmt::format("{}; {} has hidden_size {}", recipe.token_size, source, llm.hidden_size),
                     .fix = fmt::format("write token_size: {}", llm.hidden_size)});
  }
}

/// The rows that an embedding needs for every id of `tokenizer`; more than its tokens where the ids have holes.
int64_t rows_for(const Tokenizer& tokenizer) {
  return std::max(tokenizer.size(), tokenizer.max_id() + 1);
}

/// An id beyond the embedding would be read, and as a label written, outside of its memory.
void check_vocabulary(const Tokenizer& tokenizer, const DecoderConfig& llm, const fs::path& folder) {
  const int64_t rows = rows_for(tokenizer);
  if (rows <= llm.vocab_size) return;
  throw UserError("the tokenizer has more tokens than the model's embedding has rows",
                  {.where = folder.string(),
                   .found = fmt::format("{} tokens, ids up to {}, vocab_size {}", tokenizer.size(), rows - 1, llm.vocab_size),
                   .fix = "check that the tokenizer's files and the weights belong together"});
}

Pretrained finish(ModelConfig config, std::optional<Tokenizer> tokenizer, const TensorSources* sources, const fs::path& folder,
                  at::ScalarType dtype, bool resize_vocabulary, bool draw_projector, uint64_t seed,
                  std::optional<TrainingMode> trained_mode = std::nullopt) {
  Pretrained result{.model = std::make_unique<MultimodalModel>(std::move(config)),
                    .tokenizer = tokenizer ? std::make_unique<Tokenizer>(std::move(*tokenizer)) : nullptr};
  if (sources != nullptr) {
    add_passengers(*result.model, *sources);
    // What is trained starts from the file's full precision. Where the file has no more than `dtype`, masters can wait for the first step.
    const auto is_exact = [&](const Parameter* parameter) {
      const TensorSources::Found* found = sources->find(parameter->name);
      return found != nullptr && found->view->dtype == dtype_of(dtype) && found->view->shape == parameter->shape;
    };
    result.model->allocate(dtype, [&](const Bucket& bucket) {
      return trained_mode && bucket.role == Role::kLearnt && result.model->trains_parameter(*trained_mode, bucket.name) &&
             !std::ranges::all_of(bucket.parameters, is_exact);
    });
    copy_weights(*result.model, *sources, folder, resize_vocabulary, draw_projector, seed);
  }
  return result;
}

std::optional<TrainingMode> trained_mode(const Recipe& recipe, LoadFor purpose) {
  return purpose == LoadFor::kTraining ? std::optional(recipe.training_mode) : std::nullopt;
}

bool needs_no_weights(LoadFor purpose) {
  return purpose == LoadFor::kShapes || purpose == LoadFor::kPlan;
}

/// The tokenizer of a recipe's language model. Throws UserError where its chat template is not of the recipe's `tokenizer_type`: before
/// gigabytes of weights are read.
Tokenizer load_tokenizer(const fs::path& folder, const Recipe* recipe) {
  Tokenizer tokenizer = Tokenizer::load(folder);
  if (recipe == nullptr) return tokenizer;
  try {
    const ChatFormat format =
        find_chat_format(tokenizer, recipe->tokenizer_type.value_or(TokenizerType::kAuto), recipe->label_mask, today_iso_date());
    if (format.mismatch && recipe->label_mask == LabelMask::kOriginal) {
      warn(fmt::format("{}, key tokenizer_type: {} ({}); plain texts can be learnt, conversations will be refused", recipe->file.string(),
                       format.mismatch->message(), format.mismatch->details().found));
    }
  } catch (const UserError& error) {
    throw error.at(recipe->file.string() + ", key tokenizer_type");
  }
  return tokenizer;
}

Pretrained load_from_parts(const Recipe& recipe, at::ScalarType dtype, LoadFor purpose) {
  const bool shapes_only = needs_no_weights(purpose);
  const fs::path near = recipe.file.parent_path();
  const fs::path folder = find_model_folder(recipe.base_llm, near, "base_llm");
  ModelConfig config;
  const Json json = read_json(folder / "config.json");
  if (ConfigReader(json, (folder / "config.json").string()).string("model_type", "") == "multimodal") {
    throw UserError("base_llm names a multimodal checkpoint",
                    {.where = recipe.file.string() + ", key base_llm", .found = folder.string(), .fix = "name it in `base_model`"});
  }
  config.llm = read_decoder_config(json, (folder / "config.json").string());
  check_token_size(recipe, config.llm, folder.string());
  config.llm_path = lasting_name(recipe.base_llm, near, folder);
  config.tokenizer_type = recipe.tokenizer_type;
  config.truncation = recipe.truncation;
  config.max_sequence_length = recipe.max_sequence_length;
  if (fs::exists(folder / "generation_config.json")) config.generation_config = read_json(folder / "generation_config.json");

  std::optional<Tokenizer> tokenizer;
  if (purpose != LoadFor::kPlan || fs::exists(folder / "tokenizer.json")) tokenizer = load_tokenizer(folder, &recipe);
  check_one_modality(recipe.modalities.size(), recipe.file.string());
  std::vector<std::vector<WeightFile>> encoder_weights;
  for (size_t k = 0; k < recipe.modalities.size(); ++k) {
    const std::string key = fmt::format("modalities.{}", k);
    ModalitySpec spec = recipe.modalities[k];
    if (spec.hidden_size == 0) spec.hidden_size = config.llm.hidden_size;
    ModalityParts parts = read_modality_parts(spec, near, key);
    settle_modality(parts.config, config.llm.hidden_size, fmt::format("{}, {}", recipe.file.string(), key));
    config.modalities.push_back(std::move(parts.config));
    encoder_weights.push_back(std::move(parts.weights));
  }
  config.attachment_token = recipe.attachment_token;
  if (tokenizer && !config.modalities.empty()) {
    config.attachment_token_id = tokenizer->add_special_token(recipe.attachment_token);
    // The embedding has as many rows as the tokenizer has ids, as in the original's checkpoints.
    config.llm.vocab_size = rows_for(*tokenizer);
  } else if (tokenizer) {
    check_vocabulary(*tokenizer, config.llm, folder);
  }
  TensorSources sources;
  if (!shapes_only) {
    sources.add(language_model_weights(folder));
    for (size_t k = 0; k < encoder_weights.size(); ++k) {
      for (const WeightFile& file : encoder_weights[k]) sources.add(file, modality_prefix(k));
    }
  }
  return finish(std::move(config), std::move(tokenizer), shapes_only ? nullptr : &sources, folder, dtype, !recipe.modalities.empty(), true,
                static_cast<uint64_t>(recipe.seed), trained_mode(recipe, purpose));
}

/// The same model may be named by another path: its last component tells, that of a run where its checkpoint is named.
bool are_same_part(const std::string& a, const std::string& b) {
  const auto components = [](fs::path path) {
    if (!path.has_filename()) path = path.parent_path();  // a slash at the end
    const std::string last = path.filename().string();
    const bool is_in_run = last.starts_with("checkpoint-") || last == "best";
    return std::pair(last, is_in_run ? path.parent_path().filename().string() : last);
  };
  const auto [a_last, a_run] = components(a);
  const auto [b_last, b_run] = components(b);
  return a_run == b_run && (a_last == b_last || a_last == a_run || b_last == b_run);
}

bool are_same_parts(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::equal(a, b, are_same_part);
}

/// The recipe's models where a checkpoint decides: a difference is worth a warning, our own keys count.
void compare_with_recipe(ModelConfig& config, const Recipe& recipe) {
  std::vector<std::string> keys;
  if (!recipe.base_llm.empty() && !config.llm_path.empty() && !are_same_part(config.llm_path, recipe.base_llm))
    keys.push_back(fmt::format("base_llm ({}; the checkpoint has {})", recipe.base_llm, config.llm_path));
  if (config.modalities.size() != recipe.modalities.size()) {
    if (!recipe.modalities.empty())
      keys.push_back(fmt::format("modalities ({} entries, the checkpoint has {})", recipe.modalities.size(), config.modalities.size()));
  } else {
    for (size_t k = 0; k < config.modalities.size(); ++k) {
      ModalitySpec& theirs = config.modalities[k].spec;
      const ModalitySpec& ours = recipe.modalities[k];
      const auto compare = [&](const char* key, const auto& a, const auto& b) {
        if (a != b) keys.push_back(fmt::format("modalities.{}.{} ({}; the checkpoint has {})", k, key, b, a));
      };
      compare("model_type", theirs.model_type, ours.model_type);
      const auto compare_part = [&](const char* key, const std::string& a, const std::string& b) {
        if (!are_same_part(a, b)) compare(key, a, b);
      };
      if (!theirs.is_mixture() && !ours.is_mixture()) compare_part("clip_name", theirs.clip_name, ours.clip_name);
      if (ours.hidden_size != 0) compare("hidden_size", theirs.hidden_size, ours.hidden_size);
      compare("projection_type", theirs.projection_type, ours.projection_type);
      if (ours.image_size != 0) compare("image_size", config.modalities[k].vision.image_size, ours.image_size);
      if (!theirs.is_mixture() || theirs.model_type != ours.model_type) continue;
      if (!are_same_parts(theirs.expert_clip_names, ours.expert_clip_names)) {
        compare("expert_clip_names", fmt::format("{}", fmt::join(theirs.expert_clip_names, ", ")),
                fmt::format("{}", fmt::join(ours.expert_clip_names, ", ")));
      }
      compare_part("gating_path", theirs.gating_path, ours.gating_path);
      if (!ours.image_processor.empty()) compare_part("image_processor", theirs.image_processor, ours.image_processor);
      compare("fusion_method", theirs.fusion_method, ours.fusion_method);
      compare("top_k_experts", theirs.top_k_experts, ours.top_k_experts);
      compare("generalist_idx", theirs.generalist_idx, ours.generalist_idx);
      compare("cross_attn_heads", theirs.cross_attn_heads, ours.cross_attn_heads);
      if (ours.cross_attn_dropout) theirs.cross_attn_dropout = ours.cross_attn_dropout;
      if (ours.fusion_behaviour) theirs.fusion_behaviour = ours.fusion_behaviour;
      if (ours.experts) theirs.experts = ours.experts;
      if (ours.gate_classes.empty()) continue;
      if (!theirs.gate_classes.empty() && !are_same_parts(theirs.gate_classes, ours.gate_classes)) {
        warn(fmt::format("{}: gate_classes here count, in place of the checkpoint's ({})", recipe.file.string(),
                         fmt::join(theirs.gate_classes, ", ")));
      }
      theirs.gate_classes = ours.gate_classes;
    }
  }
  if (!keys.empty()) {
    warn(fmt::format("{}: the checkpoint in base_model decides the architecture; not used: {}", recipe.file.string(),
                     fmt::join(keys, ", ")));
  }
}

Pretrained load_checkpoint_with(const fs::path& folder, at::ScalarType dtype, const Recipe* recipe, const std::string& base_llm,
                                LoadFor purpose) {
  const bool shapes_only = needs_no_weights(purpose);
  const std::optional<TrainingMode> trained = recipe != nullptr ? trained_mode(*recipe, purpose) : std::nullopt;
  const fs::path file = folder / "config.json";
  const Json json = read_json(file);
  if (ConfigReader(json, file.string()).string("model_type", "") != "multimodal") {
    ModelConfig config;
    config.llm = read_decoder_config(json, file.string());
    if (recipe != nullptr && !recipe->modalities.empty()) {
      throw UserError("base_model is a plain language model, but the recipe has modalities",
                      {.where = recipe->file.string() + ", key base_model",
                       .found = folder.string(),
                       .fix = "name it in `base_llm` and leave base_model empty"});
    }
    if (fs::exists(folder / "generation_config.json")) config.generation_config = read_json(folder / "generation_config.json");
    config.tokenizer_type = recipe != nullptr ? recipe->tokenizer_type : std::nullopt;
    TensorSources sources;
    if (!shapes_only) sources.add(language_model_weights(folder));
    Tokenizer tokenizer = load_tokenizer(folder, recipe);
    check_vocabulary(tokenizer, config.llm, folder);
    return finish(std::move(config), std::move(tokenizer), shapes_only ? nullptr : &sources, folder, dtype, false, false, 0, trained);
  }
  CheckpointParts fallback{.llm = base_llm};
  if (recipe != nullptr) {
    fallback.relative_to = recipe->file.parent_path();
    fallback.modalities = recipe->modalities;
  }
  ModelConfig config = read_checkpoint_config(json, folder, fallback);
  Tokenizer tokenizer = load_tokenizer(folder, recipe);
  check_one_modality(config.modalities.size(), file.string());
  if (recipe != nullptr) {
    check_token_size(*recipe, config.llm, folder.string());
    compare_with_recipe(config, *recipe);
  }
  for (size_t k = 0; k < config.modalities.size(); ++k)
    settle_modality(config.modalities[k], config.llm.hidden_size, fmt::format("{}, modalities.{}", file.string(), k));
  if (recipe != nullptr) {
    config.tokenizer_type = recipe->tokenizer_type;
    if (config.attachment_token_id < 0) config.attachment_token = recipe->attachment_token;
    config.truncation = recipe->truncation;
    config.max_sequence_length = recipe->max_sequence_length;
  }
  if (config.attachment_token_id >= 0) {
    config.attachment_token = tokenizer.token(config.attachment_token_id);
    if (recipe != nullptr && recipe->attachment_token != config.attachment_token) {
      warn(fmt::format("{}: the checkpoint's attachment token is {}; the recipe's {} is not used", folder.string(), config.attachment_token,
                       recipe->attachment_token));
    }
  }
  const std::optional<int64_t> id = tokenizer.token_id(config.attachment_token);
  if (!id) {
    throw UserError("the checkpoint's tokenizer does not know the attachment token",
                    {.where = folder.string(),
                     .found = "no token " + config.attachment_token,
                     .fix = "set `attachment_token` to the one it was trained with"});
  }
  config.attachment_token_id = *id;
  check_vocabulary(tokenizer, config.llm, folder);
  TensorSources sources;
  if (!shapes_only) {
    sources.add({.path = folder, .rename = canonical_tensor_name});
    for (size_t k = 0; k < config.modalities.size(); ++k) find_prefix(config.modalities[k].vision, sources, modality_prefix(k));
  }
  return finish(std::move(config), std::move(tokenizer), shapes_only ? nullptr : &sources, folder, dtype, false, false, 0, trained);
}

}  // namespace

Pretrained load_from_recipe(const Recipe& recipe, at::ScalarType dtype, LoadFor purpose) {
  const bool is_there_yet = purpose != LoadFor::kPlan || find_in_hub(recipe.base_model, recipe.file.parent_path(), HubKind::kModel);
  if (recipe.base_model.empty() || !is_there_yet) return load_from_parts(recipe, dtype, purpose);
  return load_checkpoint_with(find_checkpoint(recipe, recipe.base_model), dtype, &recipe, recipe.base_llm, purpose);
}

fs::path find_checkpoint(const Recipe& recipe, const std::string& name) {
  const auto found = find_in_hub(name, recipe.file.parent_path(), HubKind::kModel);
  return resolve_checkpoint(found ? *found : fs::path(name));
}

Pretrained load_checkpoint(const fs::path& folder, at::ScalarType dtype, const std::string& base_llm, bool shapes_only) {
  return load_checkpoint_with(folder, dtype, nullptr, base_llm, shapes_only ? LoadFor::kShapes : LoadFor::kInference);
}

at::ScalarType stored_dtype(const fs::path& folder) {
  const Json json = read_json(folder / "config.json");
  const ConfigReader reader(json, (folder / "config.json").string());
  const std::string name = reader.string("dtype", reader.string("torch_dtype", "float32"));
  return name == "float32" ? at::kFloat : at::kBFloat16;
}

void save_pretrained(MultimodalModel& model, const Tokenizer& tokenizer, const fs::path& folder) {
  const bool plain = model.modalities().empty();
  std::vector<TensorSource> tensors;
  for (const Parameter* parameter : model.parameters()) {
    tensors.push_back(source_of(*parameter, plain ? parameter->name.substr(std::string("model.").size()) : parameter->name));
  }
  write_safetensors(folder, "model", std::move(tensors));
  const Json config = write_checkpoint_config(model.config(), model.dtype() == at::kFloat ? "float32" : "bfloat16", tokenizer);
  write_file_atomic(folder / "config.json", config.dump(2) + "\n");
  if (!model.config().generation_config.is_null()) {
    write_file_atomic(folder / "generation_config.json", model.config().generation_config.dump(2) + "\n");
  }
  if (!plain) write_file_atomic(folder / "preprocessor_config.json", model.config().modalities.front().processor.config.dump(2) + "\n");
  tokenizer.save(folder);
}

}  // namespace multimeditron
