#include "recipe/validate.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "recipe/fields.h"

namespace multimeditron {
namespace {

/// What recipes of every kind have in common: loaders, data sets, training arguments.
class RunValidator {
 public:
  RunValidator(TrainingArguments& arguments, const std::vector<LoaderSpec>& loaders, const std::vector<DatasetSpec>& datasets,
               Reader& reader)
      : reader_(reader), arguments_(arguments), loaders_(loaders), datasets_(datasets) {}

 protected:
  /// Missing: not written, or null. What was written wrongly has been reported already.
  void require(const std::string& path, bool given, const std::string& fix) {
    if (given || reader_.failed(path)) return;
    const bool written = reader_.has(path);
    reader_.mistake_at(path, fmt::format("`{}` is missing", path), written ? "null, or an empty value" : "", fix);
  }

  void check_loaders() {
    for (size_t i = 0; i < loaders_.size(); ++i) {
      const std::string path = fmt::format("loaders.{}", i);
      const LoaderSpec& loader = loaders_[i];
      require(path + ".loader_type", !loader.loader_type.empty(), "one of: raw-image, fs-image, raw-volume, fs-volume");
      for (size_t k = 0; k < i; ++k) {
        if (loaders_[k].modality_type != loader.modality_type) continue;
        reader_.mistake_at(path, "two loaders for one modality",
                           fmt::format("`loaders.{}` and `{}` both serve `{}`", k, path, loader.modality_type), "keep one of them");
      }
      if (!loader.base_path.empty() && loader.loader_type.starts_with("raw-"))
        reader_.note(reader_.origin(path + ".base_path"), fmt::format("`{}.base_path` has no meaning for {}", path, loader.loader_type));
      for (const char* key : {"axis", "slice", "volume"}) {
        const std::string key_path = path + "." + key;
        if (loader.loader_type.empty() || loader.serves_volumes() || !reader_.has(key_path) || reader_.failed(key_path)) continue;
        const std::string volumes = loader.loader_type.starts_with("raw-") ? "raw-volume" : "fs-volume";
        reader_.mistake_at(key_path, fmt::format("`{}` has no meaning for {}", key_path, loader.loader_type), fmt::format("`{}`", key),
                           fmt::format("write `loader_type: {}`, or remove the key", volumes));
      }
    }
  }

  void check_data() {
    require("datasets", !datasets_.empty(), "add `- packed_path: FOLDER` to `datasets`");
    for (size_t i = 0; i < datasets_.size(); ++i)
      require(fmt::format("datasets.{}.packed_path", i), !datasets_[i].packed_path.empty(), "set it to a folder, file, glob or hub id");
    require("training_args.output_dir", !arguments_.output_dir.empty(), "set it to the folder that the run is to be written to");
  }

  void note_services() {
    if (arguments_.report_to.empty() || arguments_.report_to == "none") return;
    reader_.note(reader_.origin("training_args.report_to"),
                 "`training_args.report_to` is accepted, not used here; metrics.jsonl is always written");
  }

  void check_schedule() {
    TrainingArguments& arguments = arguments_;
    const std::string type_path = "training_args.lr_scheduler_type", kwargs = "training_args.lr_scheduler_kwargs";
    if (reader_.failed(type_path) || reader_.failed(kwargs)) return;
    const std::string& type = arguments.lr_scheduler_type;
    const std::vector<std::string> keys = scheduler_keys(type);
    for (const auto& each : scheduler_table().fields) {
      const std::string path = kwargs + "." + each.info.name;
      if (!reader_.has(path) || std::find(keys.begin(), keys.end(), each.info.name) != keys.end()) continue;
      reader_.mistake_at(path, fmt::format("`{}` has no meaning for the schedule `{}`", each.info.name, type), fmt::format("`{}`", path),
                         keys.empty() ? "remove it, or choose another `lr_scheduler_type`"
                                      : fmt::format("keys of this schedule: {}", fmt::join(keys, ", ")));
    }
    if (type == "cosine_with_restarts" && !reader_.has(kwargs + ".num_cycles")) arguments.num_cycles = 1;
    const bool divides = type == "polynomial" || (type == "cosine_with_min_lr" && arguments.min_lr);
    if (divides && arguments.learning_rate <= 0 && !reader_.failed("training_args.learning_rate")) {
      reader_.mistake_at("training_args.learning_rate",
                         fmt::format("the schedule `{}` needs a `learning_rate` above 0, since its lowest rate is a share of it", type),
                         fmt::format("`learning_rate: {}`", arguments.learning_rate),
                         "set it above 0, or choose `lr_scheduler_type: constant` to train nothing");
      return;
    }
    if (type != "cosine_with_min_lr" || reader_.failed(kwargs + ".min_lr") || reader_.failed(kwargs + ".min_lr_rate")) return;
    if (arguments.min_lr.has_value() == arguments.min_lr_rate.has_value()) {
      reader_.mistake_at(reader_.has(kwargs) ? kwargs : type_path, "cosine_with_min_lr needs one lowest rate",
                         arguments.min_lr ? "both `min_lr` and `min_lr_rate`" : "neither `min_lr` nor `min_lr_rate`",
                         "write for instance `lr_scheduler_kwargs: {min_lr: 3e-5}` with one of the two");
    } else if (arguments.min_lr && *arguments.min_lr > arguments.learning_rate && !reader_.failed("training_args.learning_rate")) {
      reader_.warn(reader_.origin(kwargs + ".min_lr"), fmt::format("`min_lr` ({}) is above `learning_rate` ({}): the rate will rise",
                                                                   *arguments.min_lr, arguments.learning_rate));
    }
  }

  void check_course() {
    const TrainingArguments& arguments = arguments_;
    if (!reader_.failed("training_args.max_steps") && arguments.max_steps <= 0 && arguments.num_train_epochs <= 0 &&
        !reader_.failed("training_args.num_train_epochs")) {
      reader_.mistake_at("training_args.num_train_epochs", "the run has no length",
                         fmt::format("`num_train_epochs: {}` and `max_steps: {}`", arguments.num_train_epochs, arguments.max_steps),
                         "set one of them above 0");
    }
    check_interval("training_args.save_steps", arguments.save_steps);
    check_interval("training_args.logging_steps", arguments.logging_steps);
    if (arguments.warmup_steps >= 1) check_interval("training_args.warmup_steps", arguments.warmup_steps);
  }

  Reader& reader_;

 private:
  void check_interval(const std::string& path, double value) {
    if (value < 1 || value == static_cast<double>(static_cast<int64_t>(value)) || reader_.failed(path)) return;
    reader_.mistake_at(path, fmt::format("`{}` must be a whole number, or a share below 1", path), fmt::format("{}", value),
                       fmt::format("write {} for steps, or a value below 1 for a share of all steps", static_cast<int64_t>(value)));
  }

  TrainingArguments& arguments_;
  const std::vector<LoaderSpec>& loaders_;
  const std::vector<DatasetSpec>& datasets_;
};

class Validator : RunValidator {
 public:
  Validator(Recipe& recipe, Reader& reader)
      : RunValidator(recipe.training_args, recipe.loaders, recipe.datasets, reader), recipe_(recipe) {}

  void run() {
    check_model();
    check_loaders();
    for (size_t i = 0; i < recipe_.modalities.size(); ++i) check_modality(recipe_.modalities[i], fmt::format("modalities.{}", i));
    check_mode();
    check_data();
    check_lengths();
    check_schedule();
    check_course();
    note_unused();
  }

 private:
  void check_model() {
    if (recipe_.base_llm.empty() && recipe_.base_model.empty() && !reader_.failed("base_llm") && !reader_.failed("base_model")) {
      reader_.mistake_at("base_llm", "a language model is missing", "neither `base_llm` nor `base_model`",
                         "set `base_llm` to a hub id or folder, or `base_model` to a checkpoint");
    }
    require("tokenizer_type", recipe_.tokenizer_type.has_value(), "one of: llama, apertus, qwen3, auto");
    require("attachment_token", !recipe_.attachment_token.empty(),
            "write `attachment_token: <|reserved_special_token_0|>`, or remove the key");
    if (recipe_.resume && recipe_.base_model.empty() && !reader_.failed("base_model")) {
      reader_.mistake_at("resume_from_checkpoint", "there is nothing to resume from", "`resume_from_checkpoint: true` without `base_model`",
                         "set `base_model` to the checkpoint, or write its path here");
    }
  }

  void check_modality(ModalitySpec& modality, const std::string& path) {
    require(path + ".model_type", !modality.model_type.empty(),
            "one of: meditron_clip, meditron_biomedclip, moe_meditron_clip, moe_meditron_clip_pep");
    check_width(modality, path);
    if (modality.trust_remote_code)
      reader_.note(reader_.origin(path + ".trust_remote_code"),
                   fmt::format("`{}.trust_remote_code` is accepted; no remote code is ever run", path));
    if (modality.use_2d_position_ids && !reader_.failed(path + ".use_2d_position_ids")) {
      reader_.mistake_at(path + ".use_2d_position_ids", "two-dimensional position ids cannot be run by this version",
                         fmt::format("`{}.use_2d_position_ids: true`", path), "write false, or remove the key");
    }
    if (modality.model_type.empty()) return;
    if (modality.is_mixture()) {
      check_mixture(modality, path);
      return;
    }
    require(path + ".clip_name", !modality.clip_name.empty(), "set it to the hub id or folder of the encoder");
    for (const Field<ModalitySpec>& each : table<ModalitySpec>().fields) {
      const std::string key = path + "." + each.info.name;
      if (is_mixture_key(each.info.name) && reader_.has(key))
        reader_.note(reader_.origin(key), fmt::format("`{}` has no meaning for {}", key, modality.model_type));
    }
  }

  void check_width(ModalitySpec& modality, const std::string& path) {
    const std::string key = path + ".hidden_size";
    if (reader_.failed(key) || reader_.failed("token_size")) return;
    if (modality.hidden_size == 0) modality.hidden_size = recipe_.token_size;
    if (recipe_.token_size == 0 || modality.hidden_size == 0 || modality.hidden_size == recipe_.token_size) return;
    reader_.mistake_at(
        key, fmt::format("`{}` differs from `token_size`", key),
        fmt::format("{}, and `token_size: {}` ({})", modality.hidden_size, recipe_.token_size, reader_.origin("token_size").text),
        "both are the `hidden_size` of the language model");
  }

  void check_mixture(const ModalitySpec& modality, const std::string& path) {
    const auto experts = static_cast<int64_t>(modality.expert_clip_names.size());
    require(path + ".expert_clip_names", experts > 0, "list the hub ids or folders of the experts");
    if (const std::string key = path + ".clip_name"; reader_.has(key))
      reader_.note(reader_.origin(key),
                   fmt::format("`{}` has no meaning for {}: the encoders are `expert_clip_names`", key, modality.model_type));
    require(path + ".gating_path", !modality.gating_path.empty(), "set it to the hub id or folder of the gating network");
    if (experts == 0) return;
    if (modality.top_k_experts > experts) {
      reader_.mistake_at(path + ".top_k_experts", "more experts are to be chosen than there are",
                         fmt::format("`top_k_experts: {}` of {} experts", modality.top_k_experts, experts),
                         fmt::format("choose 1 to {}", experts));
    }
    if (modality.generalist_idx < -experts || modality.generalist_idx >= experts) {
      reader_.mistake_at(path + ".generalist_idx", "the generalist is none of the experts",
                         fmt::format("`generalist_idx: {}` of {} experts", modality.generalist_idx, experts),
                         fmt::format("choose 0 to {}, or -1 for the last expert", experts - 1));
    }
    if (modality.image_size != 0) {
      reader_.mistake_at(path + ".image_size", "a mixture takes images of its experts' size",
                         fmt::format("`image_size: {}`", modality.image_size), "leave it out");
    }
    if (modality.fusion_behaviour == "original" && modality.experts == "top_k")
      reader_.note(reader_.origin(path + ".experts"), fmt::format("`{}.experts` has no meaning with `fusion_behaviour: original`", path));
    const auto classes = static_cast<int64_t>(modality.gate_classes.size());
    if (classes != 0 && classes != experts) {
      reader_.mistake_at(path + ".gate_classes", "each expert needs one class of the gate",
                         fmt::format("{} classes, {} experts", classes, experts),
                         "list one class name an expert, in the order of `expert_clip_names`");
    }
  }

  void check_mode() {
    if (reader_.failed("training_mode") || reader_.failed("modalities") || reader_.failed("loaders")) return;
    if (recipe_.modalities.empty()) {
      if (recipe_.training_mode == TrainingMode::kLmOnly) return;
      reader_.mistake_at(reader_.has("training_mode") ? "training_mode" : "modalities",
                         fmt::format("`training_mode: {}` needs `modalities`", to_string(recipe_.training_mode)),
                         "no modality; without one only LM_ONLY can be trained",
                         "add an entry to `modalities`, or write `training_mode: LM_ONLY`");
      return;
    }
    std::vector<std::string> served;
    for (const LoaderSpec& loader : recipe_.loaders) served.push_back(loader.modality_type);
    for (size_t i = 0; i < recipe_.modalities.size(); ++i) {
      const std::string& type = recipe_.modalities[i].modality_type;
      if (std::find(served.begin(), served.end(), type) != served.end()) continue;
      reader_.mistake_at(fmt::format("modalities.{}", i), fmt::format("no loader for the modality `{}`", type),
                         served.empty() ? "no `loaders`" : fmt::format("loaders for: {}", fmt::join(served, ", ")),
                         fmt::format("add `- loader_type: raw-image` with `modality_type: {}` to `loaders`", type));
    }
  }

  void check_lengths() {
    const bool limited = recipe_.max_sequence_length.has_value() || reader_.failed("max_sequence_length");
    if (recipe_.truncation && !limited) {
      reader_.mistake_at("truncation", "`truncation` needs a length", "`truncation: true` without `max_sequence_length`",
                         "set `max_sequence_length`, for instance to 4096");
    }
    if (recipe_.pack_sequences && recipe_.max_length == 0 && !limited && !reader_.failed("max_length")) {
      reader_.mistake_at("pack_sequences", "`pack_sequences` needs a length", "neither `max_length` nor `max_sequence_length`",
                         "set `max_length`, for instance to 4096");
    }
    if (!recipe_.pack_sequences && recipe_.max_length > 0)
      reader_.note(reader_.origin("max_length"), "`max_length` has no meaning without `pack_sequences: true`");
  }

  void note_unused() {
    const bool is_pack_length = recipe_.pack_sequences && recipe_.max_length == 0;
    if (!recipe_.truncation && recipe_.max_sequence_length && !is_pack_length)
      reader_.note(reader_.origin("max_sequence_length"), "`max_sequence_length` has no meaning without `truncation: true`");
    if (!recipe_.wandb_run_id.empty()) reader_.note(reader_.origin("wandb_run_id"), "`wandb_run_id` is accepted, not used here");
    note_services();
  }

  Recipe& recipe_;
};

class ExpertValidator : RunValidator {
 public:
  ExpertValidator(ExpertRecipe& recipe, Reader& reader)
      : RunValidator(recipe.training_args, recipe.loaders, recipe.datasets, reader), recipe_(recipe) {}

  void run() {
    require("clip_name", !recipe_.clip_name.empty(), "set it to the hub id or folder of a CLIP model");
    require("attachment_token", !recipe_.attachment_token.empty(),
            "write `attachment_token: <|reserved_special_token_0|>`, or remove the key");
    note_services();
    if (recipe_.training_args.gradient_checkpointing)
      reader_.note(
          reader_.origin("training_args.gradient_checkpointing"),
          "`training_args.gradient_checkpointing` is accepted, not used by train-expert: gradient_accumulation_steps bounds the memory");
    if (recipe_.loaders.empty()) recipe_.loaders.push_back({.loader_type = "raw-image", .base_path = ""});
    check_loaders();
    check_data();
    check_weights();
    check_schedule();
    check_course();
    check_zero_shot();
    if (recipe_.training_args.per_device_train_batch_size * recipe_.training_args.gradient_accumulation_steps < 2) {
      reader_.mistake_at("training_args.per_device_train_batch_size", "contrastive training needs several pairs a step",
                         "a batch of one pair", "set `per_device_train_batch_size`, for instance to 64");
    }
  }

 private:
  void check_weights() {
    for (size_t i = 0; i < recipe_.datasets.size(); ++i) {
      const std::string path = fmt::format("datasets.{}.weight", i);
      const double weight = recipe_.datasets[i].weight.value_or(1);
      if (weight == 1 || reader_.failed(path)) continue;
      reader_.mistake_at(path, "train-expert takes every pair once an epoch", fmt::format("`weight: {}`", weight),
                         "leave `weight` out; to repeat a data set, list it again; to take less of it, set `max_samples`");
    }
  }

  void check_zero_shot() {
    if (recipe_.zero_shot_classes.size() == 1 && !reader_.failed("zero_shot_class_map"))
      reader_.mistake_at("zero_shot_class_map", "there is nothing to tell apart", "one class",
                         "name two classes or more, each with its data sets");
    if (recipe_.zero_shot_templates.empty()) recipe_.zero_shot_templates = ExpertRecipe().zero_shot_templates;
    for (const std::string& text : recipe_.zero_shot_templates) {
      if (text.find("{}") != std::string::npos) continue;
      reader_.mistake_at("zero_shot_templates", "a text would be the same for all classes", fmt::format("`{}`", text),
                         "write {} where the class's name belongs");
    }
  }

  ExpertRecipe& recipe_;
};

}  // namespace

void validate(Recipe& recipe, Reader& reader) {
  Validator(recipe, reader).run();
}

void validate(ExpertRecipe& recipe, Reader& reader) {
  ExpertValidator(recipe, reader).run();
}

}  // namespace multimeditron
