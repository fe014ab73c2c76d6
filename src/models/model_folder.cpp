#include "models/model_folder.h"

#include "base/hub.h"
#include "checkpoint/folder.h"

namespace multimeditron {

std::filesystem::path find_model_folder(const std::string& name, const std::filesystem::path& relative_to, const std::string& key) {
  const std::filesystem::path folder = resolve_hub_path(name, relative_to, HubKind::kModel, key);
  const bool is_run = !std::filesystem::exists(folder / "config.json") && !list_checkpoints(folder).empty();
  return is_run ? resolve_checkpoint(folder) : folder;
}

}  // namespace multimeditron
