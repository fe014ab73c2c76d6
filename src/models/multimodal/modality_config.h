#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/processor.h"
#include "models/vision/folder.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// What a modality is made of: the recipe's entry (or the checkpoint's), the configuration of its encoder, its image processor.
struct ModalityConfig {
  ModalitySpec spec;
  VisionConfig vision;
  ImageProcessor processor;

  int64_t image_size() const { return vision.image_size; }
  /// Patches along a side of the image.
  int64_t grid_side() const { return vision.image_size / vision.patch_size; }
  int64_t embeddings_per_image() const { return vision.num_patches(); }
};

/// A modality put together from folders, and where its weights lie, named as below `modalities_with_projection.k.`.
struct ModalityParts {
  ModalityConfig config;
  std::vector<WeightFile> weights;
};

/// Reads what `spec` names; paths are relative to `near`. `key`: the entry in the recipe ("modalities.0"), for messages. Throws UserError.
ModalityParts read_modality_parts(const ModalitySpec& spec, const std::filesystem::path& near, const std::string& key);

/// Reads an entry of `modalities` in a checkpoint's config.json. What it names by path but does not carry is looked for in `folder`, then
/// where `fallback` (the recipe's entry; may be null) names it, relative to `fallback_folder`. Throws UserError.
ModalityConfig read_modality_config(const Json& json, const std::string& where, const std::filesystem::path& folder,
                                    const ModalitySpec* fallback, const std::filesystem::path& fallback_folder);

/// The entry of `modalities` in config.json: the original's keys, and ours that make it self-contained.
Json write_modality_config(const ModalityConfig& config);

/// Throws UserError where the modality cannot be run, its parts do not fit each other, or not the language model's `hidden_size`.
void check_modality(const ModalityConfig& config, int64_t hidden_size, const std::string& where);

/// `name` as a checkpoint in `folder` gives it, else `fallback` as the recipe in `fallback_folder` does; `key` is for the message.
std::filesystem::path find_part(const std::string& name, const std::filesystem::path& folder, const std::string& fallback,
                                const std::filesystem::path& fallback_folder, const std::string& key);

}  // namespace multimeditron
