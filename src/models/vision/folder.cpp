#include "models/vision/folder.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/weights.h"
#include "models/config_reader.h"
#include "models/vision/timm_vit.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTrunk = "visual.trunk.";

bool has_vision_cfg(const Json& json) {
  return json.is_object() && json.contains("vision_cfg") && json["vision_cfg"].is_object();
}

/// The shapes of the tensors of a folder below `visual.trunk.`, and what stands in front of that.
struct Trunk {
  std::map<std::string, std::vector<int64_t>> shapes;
  std::string prefix;
};

Trunk read_trunk(const fs::path& folder) {
  Trunk trunk;
  if (WeightsReader::file_in(folder).empty()) return trunk;  // a configuration alone tells the sizes
  const WeightsReader reader(folder);
  for (const auto& [name, view] : reader.tensors()) {
    const size_t place = name.find(kTrunk);
    if (place == std::string::npos) continue;
    trunk.prefix = open_clip_prefix(name);
    trunk.shapes[name.substr(place + std::string(kTrunk).size())] = view.shape;
  }
  if (trunk.shapes.empty()) {
    throw UserError("this vision tower is not supported", {.where = folder.string(),
                                                           .found = "no tensors visual.trunk.*: a tower of open_clip's own, not timm's",
                                                           .fix = "take the model's transformers version"});
  }
  return trunk;
}

/// A tensor that the tower would not compute with is no passenger: the model is of another kind.
void check_nothing_is_left(const TimmVitConfig& config, const Trunk& trunk, const std::string& where) {
  std::set<std::string> known;
  TimmVitTower(config).visit("", [&](const std::string& name, Parameter&) { known.insert(name); });
  for (const auto& [name, shape] : trunk.shapes) {
    if (known.contains(name) || name.starts_with("head.")) continue;
    throw UserError("this vision tower is not supported",
                    {.where = where,
                     .found = fmt::format("a tensor {}{}, which a plain ViT of timm's does not have", kTrunk, name),
                     .fix = "use a vit_{tiny,small,base,large,huge}_patch*_SIZE of timm"});
  }
}

/// transformers' file where there is one, else open_clip's transform for the size that the wrapper or open_clip's file names.
ImageProcessor read_processor(const fs::path& folder, const Json& json, const Json& vision_cfg, const Json& wrapper, int64_t image_size) {
  if (fs::exists(folder / "preprocessor_config.json") || fs::exists(folder / "processor_config.json")) return ImageProcessor::load(folder);
  for (const Json* part : {&vision_cfg, &wrapper}) {
    if (part->is_object()) image_size = ConfigReader(*part, folder.string()).integer("image_size", image_size);
  }
  try {
    return ImageProcessor::from_open_clip(json.contains("preprocess_cfg") ? json["preprocess_cfg"] : Json::object(), image_size);
  } catch (const UserError& error) {
    throw error.at(folder.string());
  }
}

VisionFolder read_open_clip_folder(const fs::path& folder, const std::optional<Json>& open_clip, const std::optional<Json>& config,
                                   bool needs_processor) {
  const fs::path file = folder / (open_clip ? "open_clip_config.json" : "config.json");
  const Trunk trunk = read_trunk(folder);
  const auto shape_of = [&](const std::string& name) {
    const auto found = trunk.shapes.find(name);
    return found == trunk.shapes.end() ? nullptr : &found->second;
  };
  Json vision_cfg, wrapper;
  if (open_clip) {
    const ConfigReader whole(*open_clip, file.string());
    const ConfigReader model(whole.object("model_cfg"), file.string() + ", model_cfg");
    vision_cfg = model.object("vision_cfg");
  }
  if (config && has_vision_cfg(*config)) wrapper = config->at("vision_cfg");
  const TimmVitConfig vit = TimmVitConfig::from_open_clip(vision_cfg, wrapper, shape_of, file.string());
  if (!trunk.shapes.empty()) check_nothing_is_left(vit, trunk, folder.string());
  VisionFolder result{.config = VisionConfig::from_json(vit.to_json(), file.string()),
                      .processor = {},
                      .weights = {.path = folder, .rename = [](const std::string& name) { return name; }}};
  if (needs_processor) result.processor = read_processor(folder, open_clip ? *open_clip : *config, vision_cfg, wrapper, vit.image_size);
  result.config.prefix = trunk.prefix;
  return result;
}

/// A CLIPModel's names; those of a CLIPVisionModel, which newer versions of transformers write without the tower's prefix, become them.
std::string clip_name(const std::string& name) {
  for (const char* part : {"embeddings.", "pre_layrnorm.", "encoder.", "post_layernorm."}) {
    if (name.starts_with(part)) return "vision_model." + name;
  }
  return name;
}

}  // namespace

std::string open_clip_prefix(const std::string& name) {
  const size_t place = name.find(kTrunk);
  return place == std::string::npos ? "" : name.substr(0, place);
}

VisionFolder read_vision_folder(const fs::path& folder, bool needs_processor) {
  const fs::path file = folder / "config.json", open_clip_file = folder / "open_clip_config.json";
  std::optional<Json> open_clip, config;
  if (fs::exists(open_clip_file)) open_clip = read_json(open_clip_file);
  if (!open_clip || fs::exists(file)) config = read_json(file);
  // A conversion to transformers may keep open_clip's file beside its own.
  const bool is_converted = config && (TimmVitConfig::recognises(*config) || (config->is_object() && config->contains("vision_config")));
  if (!is_converted && (open_clip || has_vision_cfg(*config))) return read_open_clip_folder(folder, open_clip, config, needs_processor);
  const bool is_vit = TimmVitConfig::recognises(*config);
  VisionFolder result{.config = VisionConfig::from_json(*config, file.string()),
                      .processor = needs_processor ? ImageProcessor::load(folder) : ImageProcessor(),
                      .weights = {.path = folder, .rename = clip_name}};
  if (is_vit) result.weights.rename = open_clip_tensor_name;
  return result;
}

}  // namespace multimeditron
