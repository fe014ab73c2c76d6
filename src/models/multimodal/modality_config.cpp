#include "models/multimodal/modality_config.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/hub.h"
#include "models/config_reader.h"
#include "models/model_folder.h"
#include "models/multimodal/mixture_config.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

void check_supported(const ModalitySpec& spec, const std::string& where) {
  if (spec.model_type != "meditron_clip" && spec.model_type != "meditron_biomedclip" && !spec.is_mixture()) {
    throw UserError("this kind of modality cannot be run by this version",
                    {.where = where + ", key model_type",
                     .found = spec.model_type,
                     .fix = "use meditron_clip, meditron_biomedclip, moe_meditron_clip or moe_meditron_clip_pep"});
  }
  if (spec.projection_type != "mlp") {
    throw UserError("this kind of projector cannot be run by this version",
                    {.where = where + ", key projection_type", .found = spec.projection_type, .fix = "use mlp"});
  }
  if (spec.use_2d_position_ids) {
    throw UserError("two-dimensional position ids cannot be run by this version",
                    {.where = where + ", key use_2d_position_ids", .found = "true", .fix = "use false"});
  }
}

/// The recipe's `image_size`, where it is not the encoder's own.
void take_image_size(ModalityConfig& config, const std::string& where) {
  if (config.spec.image_size == 0) return;
  try {
    config.vision = config.vision.for_image_size(config.spec.image_size);
    config.processor = config.processor.resized(config.spec.image_size);
  } catch (const UserError& error) {
    throw error.at(where + ", key image_size");
  }
}

}  // namespace

ImageProcessor read_processor(const ConfigReader& reader) {
  try {
    return ImageProcessor::from_json(reader.object("image_processor_config"));
  } catch (const UserError& error) {
    throw error.at(reader.where() + ", image_processor_config");
  }
}

fs::path find_part(const std::string& name, const fs::path& folder, const std::string& fallback, const fs::path& fallback_folder,
                   const std::string& key) {
  std::optional<fs::path> found = find_in_hub(name, folder, HubKind::kModel);
  if (!found && !fallback.empty()) found = find_in_hub(fallback, fallback_folder, HubKind::kModel);
  return model_in(found ? *found : resolve_hub_path(name, folder, HubKind::kModel, key));
}

int64_t ModalityConfig::num_fused() const {
  if (spec.fusion_method == "sequence_append") return is_original() ? num_experts() : spec.top_k_experts;
  return runs_chosen_only() ? spec.top_k_experts : num_experts();
}

int64_t ModalityConfig::embeddings_per_image() const {
  return vision.num_patches() * (spec.is_mixture() && spec.fusion_method == "sequence_append" ? num_fused() : 1);
}

ModalityParts read_modality_parts(const ModalitySpec& spec, const fs::path& near, const std::string& key) {
  check_supported(spec, key);
  if (spec.is_mixture()) return read_mixture(spec, near, key);
  VisionFolder folder = read_vision_folder(find_model_folder(spec.clip_name, near, key + ".clip_name"));
  const auto rename = [inner = folder.weights.rename](const std::string& name) {
    const std::string ours = inner(name);
    return ours.empty() ? ours : "feature_extractor." + ours;
  };
  ModalityParts parts{.config = {.spec = spec, .vision = std::move(folder.config), .processor = std::move(folder.processor)},
                      .weights = {{.path = folder.weights.path, .rename = rename, .part = "feature_extractor."}}};
  parts.config.names.clip_name = lasting_name(spec.clip_name, near, parts.weights.front().path);
  take_image_size(parts.config, key);
  return parts;
}

ModalityConfig read_modality_config(const Json& json, const std::string& where, const CheckpointContext& context) {
  const ConfigReader reader(json, where);
  ModalityConfig config;
  config.spec.model_type = reader.string("model_type", "");
  config.spec.modality_type = reader.string("modality_type", "image");
  config.spec.clip_name = config.names.clip_name = reader.string("clip_name", "");
  config.spec.hidden_size = reader.integer("hidden_size");
  config.spec.projection_type = reader.string("projection_type", "mlp");
  config.spec.use_2d_position_ids = reader.boolean("use_2d_position_ids", false);
  config.spec.trust_remote_code = reader.boolean("trust_remote_code", false);
  if (reader.has("image_size")) config.spec.image_size = reader.integer("image_size");
  check_supported(config.spec, where);
  if (config.spec.is_mixture()) {
    read_mixture_config(reader, json, context, config);
    return config;
  }
  if (reader.has("clip_config")) {
    config.vision = VisionConfig::from_json(reader.object("clip_config"), where + ", clip_config");
    config.processor = read_processor(reader);
    take_image_size(config, where);
    return config;
  }
  VisionFolder encoder =
      read_vision_folder(find_part(config.spec.clip_name, context.folder, context.fallback != nullptr ? context.fallback->clip_name : "",
                                   context.fallback_folder, where + ", clip_name"));
  config.vision = std::move(encoder.config);
  config.processor = std::move(encoder.processor);
  take_image_size(config, where);
  return config;
}

Json write_modality_config(const ModalityConfig& config) {
  const ModalitySpec& spec = config.spec;
  Json json{{"model_type", spec.model_type},
            {"modality_type", spec.modality_type},
            {"hidden_size", spec.hidden_size},
            {"projection_type", spec.projection_type},
            {"use_2d_position_ids", spec.use_2d_position_ids},
            {"image_processor_config", config.processor.config}};
  if (!spec.is_mixture()) {
    json["clip_name"] = config.names.clip_name;
    json["clip_config"] = config.vision.json;
    if (spec.model_type == "meditron_biomedclip") json["trust_remote_code"] = spec.trust_remote_code;
    if (spec.image_size != 0) json["image_size"] = spec.image_size;
    return json;
  }
  json.update(write_mixture_keys(config));
  return json;
}

void settle_modality(ModalityConfig& config, int64_t hidden_size, const std::string& where) {
  check_supported(config.spec, where);
  if (config.spec.model_type == "meditron_clip" && config.vision.kind != VisionKind::kClip) {
    throw UserError("the encoder is not a CLIP of transformers'",
                    {.where = where + ", key model_type",
                     .found = "meditron_clip; " + config.spec.clip_name + " is a ViT of timm's",
                     .fix = "write model_type: meditron_biomedclip"});
  }
  if (config.spec.is_mixture()) settle_mixture(config, where);
  const int64_t size = config.image_size();
  if (config.processor.height() != size || config.processor.width() != size) {
    throw UserError(
        "the image processor and the encoder do not fit together",
        {.where = where,
         .found = fmt::format("the processor makes {} x {} pixels, the encoder takes {} x {}", config.processor.width(),
                              config.processor.height(), size, size),
         .fix = "use the preprocessor_config.json of this encoder" +
                (config.spec.is_mixture()
                     ? ""
                     : fmt::format(", or write image_size: {} to have its position embeddings interpolated", config.processor.width()))});
  }
  if (config.spec.hidden_size != hidden_size) {
    throw UserError("the projector's width differs from the language model's",
                    {.where = where + ", key hidden_size",
                     .found = fmt::format("{}; the language model's hidden_size is {}", config.spec.hidden_size, hidden_size),
                     .fix = fmt::format("write hidden_size: {}", hidden_size)});
  }
}

}  // namespace multimeditron
