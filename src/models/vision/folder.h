#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "image/processor.h"
#include "models/vision/tower.h"

namespace multimeditron {

/// Tensors on disk, and how this program calls them.
struct WeightFile {
  std::filesystem::path path;                             ///< a file or a folder, as SafetensorsReader takes it
  std::function<std::string(const std::string&)> rename;  ///< the file's name of a tensor -> ours; empty: left out
};

/// An encoder's folder as it comes from the hub.
struct VisionFolder {
  VisionConfig config;
  ImageProcessor processor;
  WeightFile weights;  ///< renamed to the whole model's names: the tower's own lie below `tower_name(config.kind)`
};

/// Throws UserError naming file and key.
VisionFolder read_vision_folder(const std::filesystem::path& folder);

}  // namespace multimeditron
