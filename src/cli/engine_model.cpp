#include "cli/engine_model.h"

#include "base/file.h"
#include "base/hub.h"
#include "base/json.h"
#include "checkpoint/folder.h"
#include "models/language/decoder_config.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron {

namespace fs = std::filesystem;

fs::path find_model(const std::string& name) {
  if (const auto found = find_in_hub(name, {}, HubKind::kModel)) return resolve_checkpoint(*found);
  const fs::path parent = fs::absolute(name).lexically_normal().parent_path();
  std::error_code code;
  // A path whose folder exists is a path: the message names what lies beside it.
  if (fs::is_directory(parent, code) && parent != fs::current_path()) return resolve_checkpoint(name);
  return resolve_checkpoint(resolve_hub_path(name, {}, HubKind::kModel, "--model"));
}

bool takes_images(const fs::path& checkpoint) {
  const fs::path file = checkpoint / "config.json";
  const Json config = read_json(file);
  if (config.contains("modalities")) return true;
  read_decoder_config(config, file.string());
  return false;
}

at::ScalarType dtype_for(GenerateCommand::Dtype dtype, const fs::path& checkpoint) {
  switch (dtype) {
    case GenerateCommand::Dtype::kFp32:
      return at::kFloat;
    case GenerateCommand::Dtype::kBf16:
      return at::kBFloat16;
    case GenerateCommand::Dtype::kAuto:
      break;
  }
  return stored_dtype(checkpoint);
}

}  // namespace multimeditron
