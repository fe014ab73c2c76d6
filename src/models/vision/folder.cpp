#include "models/vision/folder.h"

#include "base/file.h"

namespace multimeditron {

VisionFolder read_vision_folder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  return {.config = VisionConfig::from_json(read_json(file), file.string()),
          .processor = ImageProcessor::load(folder),
          .weights = {.path = folder, .rename = [](const std::string& name) { return name; }}};
}

}  // namespace multimeditron
