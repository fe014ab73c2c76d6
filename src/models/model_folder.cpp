#include "models/model_folder.h"

#include "base/hub.h"
#include "base/log.h"
#include "checkpoint/folder.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

fs::path newest_in(const fs::path& folder) {
  return !fs::exists(folder / "config.json") && !list_checkpoints(folder).empty() ? resolve_checkpoint(folder) : folder;
}

}  // namespace

fs::path find_model_folder(const std::string& name, const fs::path& relative_to, const std::string& key) {
  return newest_in(resolve_hub_path(name, relative_to, HubKind::kModel, key));
}

fs::path model_in(const fs::path& folder) {
  const fs::path best = folder / "best";
  if (fs::exists(folder / "config.json") || !fs::exists(best / "config.json")) return newest_in(folder);
  note(folder.string() + " is a run: taking its best gate, " + best.filename().string());
  return best;
}

fs::path find_gate_folder(const std::string& name, const fs::path& relative_to, const std::string& key) {
  return model_in(resolve_hub_path(name, relative_to, HubKind::kModel, key));
}

std::string lasting_name(const std::string& name, const fs::path& relative_to, const fs::path& folder) {
  std::error_code code;
  if (!fs::exists(name, code) && !fs::exists(relative_to / name, code)) return name;
  const fs::path absolute = fs::absolute(folder).lexically_normal();
  return (absolute.has_filename() ? absolute : absolute.parent_path()).string();
}

}  // namespace multimeditron
