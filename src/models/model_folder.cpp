#include "models/model_folder.h"

#include "base/hub.h"
#include "base/log.h"
#include "checkpoint/folder.h"

namespace multimeditron {

std::filesystem::path find_model_folder(const std::string& name, const std::filesystem::path& relative_to, const std::string& key) {
  const std::filesystem::path folder = resolve_hub_path(name, relative_to, HubKind::kModel, key);
  const bool is_run = !std::filesystem::exists(folder / "config.json") && !list_checkpoints(folder).empty();
  return is_run ? resolve_checkpoint(folder) : folder;
}

std::filesystem::path best_gate(const std::filesystem::path& folder) {
  const std::filesystem::path best = folder / "best";
  if (std::filesystem::exists(folder / "config.json") || !std::filesystem::exists(best / "config.json")) return folder;
  note(folder.string() + " is a run: taking its best gate, " + best.filename().string());
  return best;
}

std::filesystem::path find_gate_folder(const std::string& name, const std::filesystem::path& relative_to, const std::string& key) {
  const std::filesystem::path folder = best_gate(resolve_hub_path(name, relative_to, HubKind::kModel, key));
  return std::filesystem::exists(folder / "config.json") ? folder : find_model_folder(name, relative_to, key);
}

}  // namespace multimeditron
