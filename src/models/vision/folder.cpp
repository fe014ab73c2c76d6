#include "models/vision/folder.h"

#include "base/file.h"

namespace multimeditron {
namespace {

/// A CLIPModel's names; those of a CLIPVisionModel, which newer versions of transformers write without the tower's prefix, become them.
std::string clip_name(const std::string& name) {
  for (const char* part : {"embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm."}) {
    if (name.starts_with(part)) return "vision_model." + name;
  }
  return name;
}

}  // namespace

VisionFolder read_vision_folder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  return {.config = VisionConfig::from_json(read_json(file), file.string()),
          .processor = ImageProcessor::load(folder),
          .weights = {.path = folder, .rename = clip_name}};
}

}  // namespace multimeditron
