#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "image/processor.h"
#include "models/vision/tower.h"

namespace multimeditron {

/// Tensors on disk, and how this program calls them.
struct WeightFile {
  std::filesystem::path path;  ///< a file or a folder, as WeightsReader takes it
  /// The file's name of a tensor -> ours; empty: left out. "NAME@1/3" is the second of three tensors that make up the rows of NAME.
  std::function<std::string(const std::string&)> rename;
  std::string part = {};  ///< what our names of its tensors begin with ("experts.0."): a tensor that is missing is missing here
};

/// An encoder's folder as it comes from the hub: transformers' CLIP, open_clip's with a ViT of timm's (open_clip_config.json), a wrapper of
/// that one (`vision_cfg` in config.json), or its conversion to transformers (ViTModel, VisionTextDualEncoderModel).
struct VisionFolder {
  VisionConfig config;
  ImageProcessor processor;
  WeightFile weights;  ///< renamed to the whole model's names: the tower's own lie below `tower_name(config.kind)`
};

/// The name, before "visual.trunk.", that a wrapper of an open_clip model gives its tensors; empty where there is none.
std::string open_clip_prefix(const std::string& name);

/// Throws UserError naming file and key. Without `needs_processor` the folder may lack one, and the result has none: a mixture names its
/// own.
VisionFolder read_vision_folder(const std::filesystem::path& folder, bool needs_processor = true);

}  // namespace multimeditron
