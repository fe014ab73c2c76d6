#include "recipe/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "recipe/accepted_arguments.h"

namespace multimeditron {

template <>
const std::vector<std::pair<TrainingMode, std::string>>& enum_names() {
  static const std::vector<std::pair<TrainingMode, std::string>> names = {{TrainingMode::kAlignment, "ALIGNMENT"},
                                                                          {TrainingMode::kEnd2End, "END2END"},
                                                                          {TrainingMode::kLmOnly, "LM_ONLY"},
                                                                          {TrainingMode::kFull, "FULL"}};
  return names;
}

template <>
const std::vector<std::pair<TokenizerType, std::string>>& enum_names() {
  static const std::vector<std::pair<TokenizerType, std::string>> names = {{TokenizerType::kLlama, "llama"},
                                                                           {TokenizerType::kApertus, "apertus"},
                                                                           {TokenizerType::kQwen3, "qwen3"},
                                                                           {TokenizerType::kAuto, "auto"}};
  return names;
}

template <>
const std::vector<std::pair<LabelMask, std::string>>& enum_names() {
  static const std::vector<std::pair<LabelMask, std::string>> names = {{LabelMask::kOriginal, "original"},
                                                                       {LabelMask::kAssistant, "assistant"}};
  return names;
}

bool is_mixture_key(const std::string& key) {
  static const std::set<std::string> keys = {"expert_clip_names", "gating_path",      "fusion_method",      "top_k_experts",
                                             "generalist_idx",    "cross_attn_heads", "cross_attn_dropout", "fusion_behaviour",
                                             "experts",           "gate_classes",     "image_processor"};
  return keys.contains(key);
}

namespace {

/// A member of a loader's `scan` as a key of the loader.
template <class T>
Field<LoaderSpec> scan_field(const std::string& name, T ScanView::*member, const std::string& help) {
  const Field<ScanView> inner = field(name, member, help);
  Field<LoaderSpec> result;
  result.info = inner.info;
  result.read = [inner](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, LoaderSpec& out) {
    inner.read(info, node, path, reader, out.scan);
  };
  result.write = [inner](const LoaderSpec& loader) { return inner.write(loader.scan); };
  return result;
}

Field<LoaderSpec> window_field() {
  auto result = scan_field(
      "window", &ScanView::window,
      "Scans and 16-bit grey: from which value to which one is shown: as the file says (else minmax), from the least to the greatest "
      "value of the slice, from its 1st to its 99th percentile, or a window in Hounsfield units (docs/data.md)");
  result.info.type = FieldType::kWindow;
  result.info.choices.assign(window_names().begin(), window_names().end());
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, LoaderSpec& out) {
    if (node.kind != Node::Kind::kSequence) {
      read_scalar(info, node, path, reader, out.scan.window);
      return;
    }
    std::string numbers;
    for (const Node& item : node.items) {
      if (item.unusable) return reader.fail(path);
      numbers += (numbers.empty() ? "" : ",") + (item.kind == Node::Kind::kScalar ? item.text : "?");
    }
    if (node.items.size() == 2 && find_window(numbers)) {
      out.scan.window = numbers;
    } else {
      reader.mistake_at(path, fmt::format("`{}` is no window", path), fmt::format("[{}]", numbers),
                        "write two numbers, [centre, width], the width above 0, for instance [40, 400]");
    }
  };
  result.write = [](const LoaderSpec& loader) -> Json {
    const std::string& window = loader.scan.window;
    const auto found = window.find(',') == std::string::npos ? std::nullopt : find_window(window);
    return found ? Json{found->centre, found->width} : Json(window);
  };
  return result;
}

Field<LoaderSpec> slice_field() {
  auto result =
      scan_field("slice", &ScanView::slice, "*-volume: the slice along `axis`, counted from 0 at the patient's feet, back or left");
  result.info.type = FieldType::kSlice;
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, LoaderSpec& out) {
    if (node.kind == Node::Kind::kScalar && is_slice(node.text)) {
      out.scan.slice = node.text;
    } else {
      report_type(info, node, path, reader);
    }
  };
  result.write = [](const LoaderSpec& loader) -> Json {
    return loader.scan.slice == "middle" ? Json("middle") : Json(std::stoll(loader.scan.slice));
  };
  return result;
}

}  // namespace

template <>
const Table<LoaderSpec>& table() {
  using S = LoaderSpec;
  static const Table<S> fields{
      .fields =
          {
              field("loader_type", &S::loader_type, "Where the bytes are: in the data set (raw-*) or in files that it names (fs-*)")
                  .choices({"raw-image", "fs-image", "raw-volume", "fs-volume"}),
              field("modality_type", &S::modality_type, "The modality that this loader serves"),
              field("base_path", &S::base_path, "fs-*: folder that relative paths in the data set start from").nullable(),
              field("sixteen_bit", &S::sixteen_bit,
                    "16-bit grey images: their high byte, or everything above 255 made white as Pillow does")
                  .choices({"high_byte", "clip"}),
              field("max_pixels", &S::max_pixels, "Images of more pixels are refused before memory is taken").at_least(1).at_most(1e9),
              field("fast_decode", &S::fast_decode,
                    "JPEGs larger than the image processor resizes to are decoded at 1/2, 1/4 or 1/8: faster, other pixel values "
                    "(docs/data.md)"),
              window_field(),
              scan_field("frame", &ScanView::frame, "DICOM files of several frames: which one, counted from 0").at_least(0),
              scan_field(
                  "axis", &ScanView::axis,
                  "*-volume: the plane of the slice; null: axial, or, of a folder of DICOM slices, the plane that they were taken in")
                  .nullable()
                  .choices({"axial", "coronal", "sagittal"}),
              slice_field(),
              scan_field("volume", &ScanView::volume, "*-volume: of a NIfTI file with several volumes which one, counted from 0")
                  .at_least(0),
          },
      .relevant = [](const S& loader, const std::string& key) {
        if (key == "loader_type" || key == "modality_type" || key == "base_path") return true;
        // Recipes from before the other keys keep their fingerprint.
        const auto& all = table<LoaderSpec>().fields;
        const auto field = std::find_if(all.begin(), all.end(), [&](const Field<S>& each) { return each.info.name == key; });
        return field->write(loader) != field->write(S{});
      }};
  return fields;
}

template <>
const Table<ModalitySpec>& table() {
  using S = ModalitySpec;
  static const Table<S> fields{
      .fields =
          {field("model_type", &S::model_type,
                 "The encoder: one CLIP, one BiomedCLIP, or a mixture of CLIP experts with a shared projector or one each (pep)")
               .choices({"meditron_clip", "meditron_biomedclip", "moe_meditron_clip", "moe_meditron_clip_pep"}),
           field("modality_type", &S::modality_type, "What it encodes; a loader of the same type must exist"),
           field("clip_name", &S::clip_name, "Hub id or folder of the encoder").nullable(),
           field("image_processor", &S::image_processor,
                 "Mixtures: hub id or folder of the image processor; a single encoder uses the one in `clip_name`")
               .nullable(),
           field("hidden_size", &S::hidden_size, "Width of the language model; 0: `token_size`, or what its config says").at_least(0),
           field("projection_type", &S::projection_type, "The projector from the encoder's width to the language model's").choices({"mlp"}),
           field("use_2d_position_ids", &S::use_2d_position_ids, "Two-dimensional positions of the patches; only `false` can be run"),
           field("image_size", &S::image_size,
                 "A single encoder: side of the images in pixels where it is not the one it was trained for; its position embeddings are "
                 "interpolated (bicubic). 0: its own")
               .at_least(0),
           field("trust_remote_code", &S::trust_remote_code, "Accepted; no remote code is ever run"),
           field("expert_clip_names", &S::expert_clip_names, "Mixtures: hub ids or folders of the experts, in order"),
           field("gating_path", &S::gating_path, "Mixtures: hub id or folder of the gating network").nullable(),
           field("fusion_method", &S::fusion_method, "Mixtures: how the experts' tokens become one sequence")
               .choices({"weighted_average", "sequence_append", "cross_attn"}),
           field("top_k_experts", &S::top_k_experts, "Mixtures: experts that `sequence_append` takes").at_least(1),
           field("generalist_idx", &S::generalist_idx, "Mixtures: index of the generalist; -1 is the last expert"),
           field("cross_attn_heads", &S::cross_attn_heads, "Mixtures: heads of `cross_attn`").at_least(1),
           field("cross_attn_dropout", &S::cross_attn_dropout, "Mixtures: dropout of `cross_attn` while training; 0.1, or the checkpoint's")
               .at_least(0)
               .below(1),
           field("fusion_behaviour", &S::fusion_behaviour,
                 "Mixtures: `original` restores the three faults that published mixtures were trained with; `correct`, or the checkpoint's")
               .choices({"correct", "original"}),
           field("experts", &S::experts,
                 "Mixtures: `top_k` runs only the chosen experts, weights renormalised over them; `all`, or the checkpoint's")
               .choices({"all", "top_k"}),
           field("gate_classes", &S::gate_classes, "Mixtures: the gate's class for each expert, where names do not settle it")},
      .relevant = [](const S& modality, const std::string& key) {
        if (key == "image_size" && modality.image_size == 0) return false;  // recipes from before it keep their fingerprint
        return modality.is_mixture() || !is_mixture_key(key);
      }};
  return fields;
}

template <>
const Table<DatasetSpec>& table() {
  using S = DatasetSpec;
  static const Table<S> fields{
      .fields = {
          field("packed_path", &S::packed_path, "Folder, file, glob or hub id"),
          field("weight", &S::weight,
                "How often an epoch takes this data set's rows: 2 takes each twice, 0.5 a drawn half, the next epoch the other")
              .above(0)
              .at_most(1000),
          field("max_samples", &S::max_samples, "Take at most so many samples").at_least(1),
      }};
  return fields;
}

template <>
const Table<CustomLr>& table() {
  using S = CustomLr;
  static const Table<S> fields{.fields = {
                                   field("projector", &S::projector, "Learning rate of projector and fusion").at_least(0),
                                   field("vision", &S::vision, "Learning rate of encoders and gate").at_least(0),
                               }};
  return fields;
}

namespace {

Field<Recipe> resume_field() {
  Field<Recipe> result;
  result.info = {.name = "resume_from_checkpoint",
                 .type = FieldType::kFlagOrPath,
                 .help =
                     "true: go on from the training state in `base_model`; a path: from that checkpoint. An unfinished run in `output_dir` "
                     "goes on anyway",
                 .nullable = true};
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, Recipe& out) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kScalar) {
      report_type(info, node, path, reader);
    } else if (const auto flag = node.quoted ? std::nullopt : parse_boolean(node.text)) {
      out.resume = *flag;
    } else {
      out.resume_path = node.text;
    }
  };
  result.write = [](const Recipe& recipe) { return recipe.resume_path.empty() ? Json(recipe.resume) : Json(recipe.resume_path); };
  return result;
}

}  // namespace

template <>
const Table<Recipe>& table() {
  using S = Recipe;
  static const Table<S> fields{
      .fields = {
          field("base_llm", &S::base_llm, "Hub id or folder of the language model").nullable(),
          field("base_model", &S::base_model,
                "Checkpoint to start from (a run's folder: its newest one); null: language model, encoders and a new projector")
              .nullable(),
          resume_field(),
          field("wandb_run_id", &S::wandb_run_id, "Run to attach to on resume; accepted, tracking services are not used yet").nullable(),
          field("attachment_token", &S::attachment_token,
                "Marks the place of an image in the text; added to the tokenizer where it lacks it"),
          field("tokenizer_type", &S::tokenizer_type,
                "Whose role delimiters mark what is not to be learnt; auto: those that the chat template writes"),
          field("token_size", &S::token_size, "`hidden_size` of the language model; 0: taken from its config").at_least(0),
          field("truncation", &S::truncation, "Shorten samples to `max_sequence_length` by whole turns"),
          field("max_sequence_length", &S::max_sequence_length, "Longest sample, in tokens").at_least(1),
          field("seed", &S::seed, "Shuffling of the data sets and initialisation").at_least(0),
          field("pack_sequences", &S::pack_sequences, "Several samples share one row; attention never crosses their borders"),
          field("max_length", &S::max_length, "Tokens of a packed row; 0: `max_sequence_length`").at_least(0).nullable(),
          field("custom_lr", &S::custom_lr, "Learning rates by component; the rest uses `learning_rate`"),
          field("loaders", &S::loaders, "Where the images of each modality come from"),
          field("modalities", &S::modalities, "Encoders and projectors"),
          field("training_mode", &S::training_mode,
                "What is trained: the projector; language model and projector; the language model; everything"),
          field("datasets", &S::datasets, "Data sets, concatenated in this order and shuffled with `seed`"),
          field("training_args", &S::training_args, "Names and meaning of Hugging Face's TrainingArguments"),
          field("label_mask", &S::label_mask,
                "`original` learns the assistant's turns with their delimiters, `assistant` only its text and end-of-turn token"),
          field("loss_reduction", &S::loss_reduction,
                "A step's loss: mean of its micro-batches' means, or one mean over all labelled tokens")
              .choices({"micro_batch", "token"}),
          field("max_bad_samples", &S::max_bad_samples, "Share of the samples seen that may be unusable before the run ends")
              .at_least(0)
              .at_most(1),
          field("logging_level", &S::logging_level, "`micro` adds each micro-batch's loss and samples to metrics.jsonl")
              .choices({"step", "micro"}),
      }};
  return fields;
}

std::optional<std::string> place_of_key(const std::string& key, const std::string& parent) {
  const auto holds = [&](const auto& fields) {
    for (const auto& each : fields.fields) {
      if (each.info.name == key) return true;
    }
    for (const std::string& name : fields.accepted) {
      if (name == key) return true;
    }
    return false;
  };
  if (!parent.empty() && holds(table<Recipe>())) return "move it to the top level of the recipe";
  if (parent != "training_args" && holds(table<TrainingArguments>())) return "move it under `training_args`";
  if (parent != "training_args.lr_scheduler_kwargs" && holds(scheduler_table())) return "move it under `training_args.lr_scheduler_kwargs`";
  if (!parent.starts_with("modalities.") && holds(table<ModalitySpec>())) return "move it to an entry of `modalities`";
  if (!parent.starts_with("datasets.") && holds(table<DatasetSpec>())) return "move it to an entry of `datasets`";
  if (!parent.starts_with("loaders.") && holds(table<LoaderSpec>())) return "move it to an entry of `loaders`";
  return std::nullopt;
}

}  // namespace multimeditron
