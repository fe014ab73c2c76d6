#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recipe/scan_view.h"
#include "recipe/training_arguments.h"

namespace multimeditron {

enum class TrainingMode { kAlignment, kEnd2End, kLmOnly, kFull };
enum class TokenizerType { kLlama, kApertus, kQwen3, kAuto };
enum class LabelMask { kOriginal, kAssistant };

/// An entry of `loaders`: where the images of one modality come from.
struct LoaderSpec {
  std::string loader_type;  ///< raw-image, fs-image, raw-volume, fs-volume
  std::string modality_type = "image";
  std::string base_path;  ///< fs-*: paths in the data set are relative to it
  // Ours; image::DecodeOptions says what they do
  std::string sixteen_bit = "high_byte";  ///< high_byte, clip
  int64_t max_pixels = 178'956'970;
  bool fast_decode = false;
  ScanView scan;  ///< its members are keys of the loader

  bool serves_volumes() const { return loader_type.ends_with("-volume"); }
};

/// An entry of `modalities`: an encoder and its projector.
struct ModalitySpec {
  std::string model_type;  ///< meditron_clip, meditron_biomedclip, moe_meditron_clip, moe_meditron_clip_pep
  std::string modality_type = "image";
  std::string clip_name;        ///< hub id or folder
  std::string image_processor;  ///< of mixtures; hub id or folder
  int64_t hidden_size = 0;      ///< the LLM's width; must equal token_size
  std::string projection_type = "mlp";
  bool use_2d_position_ids = false;
  bool trust_remote_code = false;  ///< accepted; no remote code is ever run
  std::vector<std::string> expert_clip_names;
  std::string gating_path;
  std::string fusion_method = "weighted_average";
  int64_t top_k_experts = 1;
  int64_t generalist_idx = -1;
  int64_t cross_attn_heads = 8;
  int64_t image_size = 0;  ///< ours: side of the images of a single encoder whose positions are then interpolated; 0: its own
  // Ours; where they are written they count from the recipe even where a checkpoint decides the rest.
  std::optional<double> cross_attn_dropout;     ///< 0.1 where not written
  std::optional<std::string> fusion_behaviour;  ///< correct (where not written), original
  std::optional<std::string> experts;           ///< all (where not written), top_k
  std::vector<std::string> gate_classes;

  bool is_mixture() const { return model_type.starts_with("moe_"); }
};

/// An entry of `datasets`.
struct DatasetSpec {
  std::string packed_path;  ///< folder, file, glob or hub id
  std::optional<double> weight;
  std::optional<int64_t> max_samples;
};

/// Learning rates by component; what is not set uses `training_args.learning_rate`.
struct CustomLr {
  std::optional<double> projector, vision;
};

/// A whole, validated recipe: variables expanded, every key known, every value in range.
struct Recipe {
  std::filesystem::path file;  ///< where it was read from
  std::string base_llm;
  std::string base_model;   ///< empty: build the model from base_llm and the modalities
  bool resume = false;      ///< `resume_from_checkpoint: true`: resume from base_model
  std::string resume_path;  ///< `resume_from_checkpoint: PATH`
  std::string wandb_run_id;
  std::string attachment_token = "<|reserved_special_token_0|>";
  std::optional<TokenizerType> tokenizer_type;
  int64_t token_size = 0;  ///< the LLM's hidden_size; 0 where not given
  bool truncation = false;
  std::optional<int64_t> max_sequence_length;
  int64_t seed = 0;
  bool pack_sequences = false;
  int64_t max_length = 0;  ///< slots of a pack; 0: max_sequence_length
  CustomLr custom_lr;
  std::vector<LoaderSpec> loaders;
  std::vector<ModalitySpec> modalities;
  TrainingMode training_mode = TrainingMode::kAlignment;
  std::vector<DatasetSpec> datasets;
  TrainingArguments training_args;
  // Ours
  LabelMask label_mask = LabelMask::kOriginal;
  std::string loss_reduction = "micro_batch";  ///< micro_batch (the original's mean of means), token
  double max_bad_samples = 0.01;               ///< share of the samples seen that may be unusable before the run ends
  std::string logging_level = "step";          ///< step, micro (metrics.jsonl also has each micro-batch)

  /// The effective recipe as YAML, defaults included: written into the output folder.
  std::string effective_yaml;
  /// SHA-256 over the effective recipe without paths of output, logging and launch: the same hash is the same run.
  std::string fingerprint;
  /// Notes and warnings to print (accepted but unused keys, duplicate keys), each with file:line.
  std::vector<std::string> notes, warnings;
};

/// Reads a recipe, applies `overrides` ("a.b=1", "modalities.0.cross_attn_dropout=0"), expands $NAME and ${NAME} from the environment,
/// and checks everything that needs no other file. Throws UserErrors with all mistakes found, each with file:line:column.
Recipe load_recipe(const std::filesystem::path& file, std::span<const std::string> overrides);

const char* to_string(TrainingMode mode);   // "ALIGNMENT"
const char* to_string(TokenizerType type);  // "qwen3"
const char* to_string(LabelMask mask);      // "original"
std::optional<TokenizerType> parse_tokenizer_type(const std::string& name);

/// Lines that differ between two effective recipes, for the message "output folder of another recipe".
std::string recipe_difference(const std::string& old_yaml, const std::string& new_yaml);

}  // namespace multimeditron
