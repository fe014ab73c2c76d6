#include "models/multimodal/mixture_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "models/model_folder.h"
#include "models/multimodal/gate_classes.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

std::string size_text(const VisionConfig& vision) {
  return fmt::format("{} x {} pixels in patches of {}", vision.image_size, vision.image_size, vision.patch_size);
}

/// The experts of a mixture must fit each other.
void check_experts(const ModalityConfig& config, const std::string& where) {
  for (size_t e = 1; e < config.experts.size(); ++e) {
    const VisionConfig &first = config.experts.front(), &expert = config.experts[e];
    const auto refuse = [&](const std::string& message, const std::string& found, const std::string& fix) {
      throw UserError(message, {.where = fmt::format("{}, expert_clip_names.{}", where, e),
                                .found = fmt::format("{}: {}", config.spec.expert_clip_names[e], found),
                                .fix = fix});
    };
    if (expert.image_size != first.image_size || expert.patch_size != first.patch_size) {
      refuse("the experts of a mixture take different images",
             fmt::format("{}; the first expert has {}", size_text(expert), size_text(first)), "use experts of one image and patch size");
    }
    if (!config.is_pep() && expert.hidden_size != first.hidden_size) {
      refuse("experts of different width cannot share a projector",
             fmt::format("width {}; the first expert has {}", expert.hidden_size, first.hidden_size),
             "use experts of one width, or `model_type: moe_meditron_clip_pep`, which has a projector for each");
    }
  }
}

void check_fusion(const ModalityConfig& config, const std::string& where) {
  const ModalitySpec& spec = config.spec;
  const int64_t experts = config.num_experts();
  if (spec.top_k_experts > experts) {
    throw UserError("more experts are to be chosen than there are", {.where = where + ", key top_k_experts",
                                                                     .found = fmt::format("{} of {} experts", spec.top_k_experts, experts),
                                                                     .fix = fmt::format("choose 1 to {}", experts)});
  }
  if (spec.generalist_idx < -experts || spec.generalist_idx >= experts) {
    throw UserError("the generalist is none of the experts",
                    {.where = where + ", key generalist_idx",
                     .found = fmt::format("{} of {} experts", spec.generalist_idx, experts),
                     .fix = fmt::format("choose 0 to {}, or -1 for the last expert", experts - 1)});
  }
  if (spec.fusion_method != "cross_attn") return;
  if (const double dropout = config.cross_attn_dropout(); !(dropout >= 0 && dropout < 1)) {
    throw UserError("a dropout is a share of what is dropped",
                    {.where = where + ", key cross_attn_dropout", .found = fmt::format("{}", dropout), .fix = "choose 0 or more, below 1"});
  }
  const int64_t width = config.is_pep() ? spec.hidden_size : config.vision.hidden_size;
  if (width % spec.cross_attn_heads != 0) {
    throw UserError("the heads of the cross attention do not divide its width",
                    {.where = where + ", key cross_attn_heads",
                     .found = fmt::format("{} heads, width {}", spec.cross_attn_heads, width),
                     .fix = fmt::format("choose a divisor of {}", width)});
  }
  if (experts == 1 && !(config.is_original() && spec.generalist_idx < 0)) {
    throw UserError("cross attention needs a specialist beside the generalist",
                    {.where = where + ", key expert_clip_names", .found = "one expert", .fix = "name two experts or more"});
  }
}

/// Where the original reads its permutation backwards there must be one.
void check_permutation(const ModalityConfig& config, const std::string& where) {
  if (!config.is_original() || config.spec.fusion_method == "sequence_append") return;
  const bool ignores_names = config.is_pep() && config.spec.fusion_method == "weighted_average";
  const int64_t classes = config.gate.num_classes, experts = config.num_experts();
  if (ignores_names ? classes >= experts : classes == experts) return;
  throw UserError("`fusion_behaviour: original` needs a class of the gate for each expert, and no other",
                  {.where = where + ", key fusion_behaviour",
                   .found = fmt::format("{} classes, {} experts", classes, experts),
                   .fix = "use `fusion_behaviour: correct`"});
}

/// What runs, but hardly as it was meant. Told where the recipe leaves the matching to the names; whoever wrote `gate_classes` has seen to
/// it.
void warn_of_oddities(const ModalityConfig& config, const std::string& where) {
  if (!config.spec.gate_classes.empty()) return;
  std::vector<std::string> idle;
  for (int64_t c = 0; c < config.gate.num_classes; ++c) {
    if (std::find(config.class_of.begin(), config.class_of.end(), c) != config.class_of.end()) continue;
    const auto index = static_cast<size_t>(c);
    idle.push_back(index < config.gate.class_names.size() ? config.gate.class_names[index] : fmt::format("class {}", c));
  }
  if (!idle.empty()) {
    warn(fmt::format("{}: the gate has classes that no expert answers to: {}; the weight that it gives them is lost", where,
                     fmt::join(idle, ", ")));
  }
  std::set<std::string> seen;
  for (const std::string& expert : config.spec.expert_clip_names) {
    if (!seen.insert(expert).second) warn(fmt::format("{}: the expert {} stands more than once in `expert_clip_names`", where, expert));
  }
}

void read_spec(const ConfigReader& reader, const Json& json, ModalitySpec& spec) {
  const auto names = [&](const char* key) {
    std::vector<std::string> list;
    if (!reader.has(key)) return list;
    const Json& value = json.at(key);
    if (!value.is_array() || !std::all_of(value.begin(), value.end(), [](const Json& name) { return name.is_string(); })) {
      throw UserError("a model's configuration holds a value of the wrong kind",
                      {.where = fmt::format("{}, key {}", reader.where(), key), .found = "no list of names"});
    }
    return value.get<std::vector<std::string>>();
  };
  const auto choice = [&](const char* key, const std::string& fallback, std::initializer_list<const char*> known) {
    const std::string value = reader.string(key, fallback);
    if (std::find(known.begin(), known.end(), value) == known.end()) {
      throw UserError("this mixture is not known", {.where = fmt::format("{}, key {}", reader.where(), key),
                                                    .found = value,
                                                    .fix = fmt::format("one of: {}", fmt::join(known, ", "))});
    }
    return value;
  };
  spec.expert_clip_names = names("expert_clip_names");
  if (spec.expert_clip_names.empty()) {
    throw UserError("a model's configuration lacks a key", {.where = reader.where(), .found = "no `expert_clip_names`"});
  }
  spec.image_processor = reader.string("image_processor", "");
  spec.gating_path = reader.string("gating_path", "");
  spec.fusion_method = choice("fusion_method", spec.fusion_method, {"weighted_average", "sequence_append", "cross_attn"});
  spec.top_k_experts = reader.integer("top_k_experts", spec.top_k_experts);
  if (reader.has("generalist_idx")) spec.generalist_idx = static_cast<int64_t>(reader.number("generalist_idx", -1));
  spec.cross_attn_heads = reader.integer("cross_attn_heads", spec.cross_attn_heads);
  spec.cross_attn_dropout = reader.number("cross_attn_dropout", 0.1);
  spec.fusion_behaviour = choice("fusion_behaviour", "correct", {"correct", "original"});
  spec.experts = choice("experts", "all", {"all", "top_k"});
  spec.gate_classes = names("gate_classes");
}

/// A mixture that names no image processor takes its first expert's.
bool needs_processor(const ModalitySpec& spec, size_t expert) {
  return expert == 0 && spec.image_processor.empty();
}

void read_parts(const ConfigReader& reader, const Json& json, const CheckpointContext& context, ModalityConfig& config) {
  const ModalitySpec& spec = config.spec;
  const auto part = [&](const std::string& name, const std::string& fallback, const std::string& key) {
    return find_part(name, context.folder, fallback, context.fallback_folder, fmt::format("{}, {}", reader.where(), key));
  };
  const bool has_fallback = context.fallback != nullptr && context.fallback->is_mixture();
  const size_t count = spec.expert_clip_names.size();
  if (reader.has("expert_configs")) {
    const Json& experts = json.at("expert_configs");
    if (!experts.is_array() || experts.size() != count) {
      throw UserError("a model's configuration contradicts itself",
                      {.where = reader.where() + ", key expert_configs",
                       .found = fmt::format("{} entries, {} in `expert_clip_names`", experts.size(), count)});
    }
    for (size_t e = 0; e < count; ++e)
      config.experts.push_back(VisionConfig::from_json(experts[e], fmt::format("{}, expert_configs.{}", reader.where(), e)));
    config.processor = read_processor(reader);
  } else {
    for (size_t e = 0; e < count; ++e) {
      const bool has_name = has_fallback && e < context.fallback->expert_clip_names.size();
      const fs::path folder =
          part(spec.expert_clip_names[e], has_name ? context.fallback->expert_clip_names[e] : "", fmt::format("expert_clip_names.{}", e));
      VisionFolder expert = read_vision_folder(folder, needs_processor(spec, e));
      config.experts.push_back(std::move(expert.config));
      if (e == 0) config.processor = std::move(expert.processor);
    }
    if (!spec.image_processor.empty()) {
      config.processor =
          ImageProcessor::load(part(spec.image_processor, has_fallback ? context.fallback->image_processor : "", "image_processor"));
    }
  }
  config.vision = config.experts.front();

  const ResNetShape shape = ResNetShape::from_tensors(
      [&](const std::string& name) { return context.shape_of("gating_network.resnet." + name); }, context.folder.string());
  if (reader.has("gating_config")) {
    config.gate = GateConfig::from_json(reader.object("gating_config"), shape, reader.where() + ", gating_config");
  } else {
    const fs::path file = part(spec.gating_path, has_fallback ? context.fallback->gating_path : "", "gating_path") / "config.json";
    config.gate = GateConfig::from_json(read_json(file), shape, file.string());
  }
}

/// Whether the processor in an expert's folder, which the mixture does not use, makes other pixels of an image than `processor`.
bool has_other_pixels(const fs::path& folder, const ImageProcessor& processor) {
  if (!fs::exists(folder / "preprocessor_config.json")) return false;
  try {
    const ImageProcessor own = ImageProcessor::load(folder);
    return own.image_mean != processor.image_mean || own.image_std != processor.image_std;
  } catch (const UserError&) {
    return false;  // one that cannot be read is of no use, and no harm
  }
}

}  // namespace

ModalityParts read_mixture(const ModalitySpec& spec, const fs::path& near, const std::string& key) {
  ModalityParts parts{.config = {.spec = spec}, .weights = {}};
  ModalityConfig& config = parts.config;
  for (size_t e = 0; e < spec.expert_clip_names.size(); ++e) {
    const fs::path place = find_model_folder(spec.expert_clip_names[e], near, fmt::format("{}.expert_clip_names.{}", key, e));
    config.names.expert_clip_names.push_back(lasting_name(spec.expert_clip_names[e], near, place));
    VisionFolder folder = read_vision_folder(place, needs_processor(spec, e));
    if (e == 0) config.processor = std::move(folder.processor);
    // Of an expert's folder the vision tower alone, without its place in the whole model.
    const std::string prefix = folder.config.prefix + tower_name(folder.config.kind) + ".";
    const auto rename = [e, prefix, inner = folder.weights.rename](const std::string& name) -> std::string {
      const std::string ours = inner(name);
      return ours.starts_with(prefix) ? fmt::format("experts.{}.{}", e, ours.substr(prefix.size())) : "";
    };
    parts.weights.push_back({.path = folder.weights.path, .rename = rename, .part = fmt::format("experts.{}.", e)});
    config.experts.push_back(std::move(folder.config));
  }
  config.vision = config.experts.front();
  if (!spec.image_processor.empty()) {
    const fs::path place = find_model_folder(spec.image_processor, near, key + ".image_processor");
    config.processor = ImageProcessor::load(place);
    config.names.image_processor = lasting_name(spec.image_processor, near, place);
  }
  std::vector<std::string> others;
  for (size_t e = 0; e < parts.weights.size(); ++e) {
    if (has_other_pixels(parts.weights[e].path, config.processor)) others.push_back(spec.expert_clip_names[e]);
  }
  if (!others.empty()) {
    warn(fmt::format("{}: experts with another mean or std in their own preprocessor_config.json than the mixture's image processor: {}",
                     key, fmt::join(others, ", ")));
  }
  const fs::path gate = find_gate_folder(spec.gating_path, near, key + ".gating_path");
  config.gate = GateConfig::from_folder(gate);
  config.names.gating_path = lasting_name(spec.gating_path, near, gate);
  parts.weights.push_back({.path = gate,
                           .rename =
                               [](const std::string& name) {
                                 const std::string ours = gate_tensor_name(name);
                                 return ours.empty() ? ours : "gating_network." + ours;
                               },
                           .part = "gating_network."});
  return parts;
}

void read_mixture_config(const ConfigReader& reader, const Json& json, const CheckpointContext& context, ModalityConfig& config) {
  read_spec(reader, json, config.spec);
  config.names = {.clip_name = "",
                  .image_processor = config.spec.image_processor,
                  .gating_path = config.spec.gating_path,
                  .expert_clip_names = config.spec.expert_clip_names};
  read_parts(reader, json, context, config);
}

Json write_mixture_keys(const ModalityConfig& config) {
  const ModalitySpec& spec = config.spec;
  Json json;
  json["expert_clip_names"] = config.names.expert_clip_names;
  json["image_processor"] = config.names.image_processor;
  json["gating_path"] = config.names.gating_path;
  json["fusion_method"] = spec.fusion_method;
  json["top_k_experts"] = spec.top_k_experts;
  json["generalist_idx"] = spec.generalist_idx;
  json["cross_attn_heads"] = spec.cross_attn_heads;
  json["cross_attn_dropout"] = config.cross_attn_dropout();
  json["fusion_behaviour"] = spec.fusion_behaviour.value_or("correct");
  json["experts"] = spec.experts.value_or("all");
  json["expert_configs"] = Json::array();
  for (const VisionConfig& expert : config.experts) json["expert_configs"].push_back(expert.json);
  json["gating_config"] = config.gate.to_json();
  const std::vector<std::string>& names = config.gate.class_names;
  if (!names.empty() && std::set(names.begin(), names.end()).size() == names.size()) {
    // As they were matched: whoever reads this needs no rule, and no warning.
    for (const int64_t c : config.class_of) json["gate_classes"].push_back(names[static_cast<size_t>(c)]);
  } else if (!names.empty()) {
    json["expert_clip_names"] = spec.expert_clip_names;  // they are matched by their names
  }
  return json;
}

void settle_mixture(ModalityConfig& config, const std::string& where) {
  check_experts(config, where);
  check_fusion(config, where);
  config.class_of =
      match_gate_classes(config.spec.expert_clip_names, config.gate.class_names, config.gate.num_classes, config.spec.gate_classes, where);
  check_permutation(config, where);
  warn_of_oddities(config, where);
}

}  // namespace multimeditron
