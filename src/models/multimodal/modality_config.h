#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/processor.h"
#include "models/config_reader.h"
#include "models/vision/folder.h"
#include "models/vision/gating_network.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// Where the parts of a modality lie, as config.json tells other programs: folders absolute, hub ids as they are.
struct PartNames {
  std::string clip_name, image_processor, gating_path;
  std::vector<std::string> expert_clip_names;
};

/// What a modality is made of: the recipe's entry (or the checkpoint's), the configuration of its encoder, its image processor.
struct ModalityConfig {
  ModalitySpec spec;
  PartNames names;
  VisionConfig vision;  ///< of a mixture: its first expert's
  ImageProcessor processor;
  // Of a mixture:
  std::vector<VisionConfig> experts;
  GateConfig gate;
  std::vector<int64_t> class_of;  ///< for each expert, its class of the gate; set by settle_modality()

  int64_t image_size() const { return vision.image_size; }
  /// Patches along a side of the image.
  int64_t grid_side() const { return vision.image_size / vision.patch_size; }
  int64_t embeddings_per_image() const;

  int64_t num_experts() const { return static_cast<int64_t>(experts.size()); }
  /// A projector for each expert, before fusion.
  bool is_pep() const { return spec.model_type == "moe_meditron_clip_pep"; }
  /// The original's faults are wanted.
  bool is_original() const { return spec.fusion_behaviour == "original"; }
  /// `experts: top_k`: experts that are not chosen neither run nor count.
  bool runs_chosen_only() const { return spec.experts == "top_k" && !is_original(); }
  /// Experts whose tokens a weighted average or an appended sequence is made of.
  int64_t num_fused() const;
  /// The generalist's index, counted from the front.
  int64_t generalist() const { return spec.generalist_idx < 0 ? spec.generalist_idx + num_experts() : spec.generalist_idx; }
  double cross_attn_dropout() const { return spec.cross_attn_dropout.value_or(0.1); }
};

/// A modality put together from folders, and where its weights lie, named as below `modalities_with_projection.k.`.
struct ModalityParts {
  ModalityConfig config;
  std::vector<WeightFile> weights;
};

/// Reads what `spec` names; paths are relative to `near`. `key`: the entry in the recipe ("modalities.0"), for messages. Throws UserError.
ModalityParts read_modality_parts(const ModalitySpec& spec, const std::filesystem::path& near, const std::string& key);

/// What an entry of `modalities` in a checkpoint's config.json does not say itself.
struct CheckpointContext {
  std::filesystem::path folder;            ///< of the checkpoint: where what is named by path is looked for first
  const ModalitySpec* fallback = nullptr;  ///< the recipe's entry, which may name it elsewhere
  std::filesystem::path fallback_folder;   ///< what the recipe's paths are relative to
  /// The shape of a tensor of this modality (named as below `modalities_with_projection.k.`), or null.
  std::function<const std::vector<int64_t>*(const std::string& name)> shape_of;
};

/// Reads an entry of `modalities` in a checkpoint's config.json. Throws UserError.
ModalityConfig read_modality_config(const Json& json, const std::string& where, const CheckpointContext& context);

/// The entry of `modalities` in config.json: the original's keys, and ours that make it self-contained.
Json write_modality_config(const ModalityConfig& config);

/// The last step of reading: matches a mixture's experts with the gate's classes. Throws UserError where the modality cannot be run, its
/// parts do not fit each other, or not the language model's `hidden_size`.
void settle_modality(ModalityConfig& config, int64_t hidden_size, const std::string& where);

/// `image_processor_config` of a checkpoint's modality.
ImageProcessor read_processor(const ConfigReader& reader);

/// `name` as a checkpoint in `folder` gives it, else `fallback` as the recipe in `fallback_folder` does; `key` is for the message.
std::filesystem::path find_part(const std::string& name, const std::filesystem::path& folder, const std::string& fallback,
                                const std::filesystem::path& fallback_folder, const std::string& key);

}  // namespace multimeditron
