#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "models/config_reader.h"
#include "models/vision/timm_vit.h"

namespace multimeditron {
namespace {

constexpr const char* kKnown =
    "vit_{tiny,small,base,large,huge}_patch{8,14,16,32}_SIZE of timm, or a ViTModel of transformers (convert the tower to one)";

[[noreturn]] void refuse(const std::string& where, const std::string& found, const std::string& fix = std::string("use ") + kKnown) {
  throw UserError("this vision tower is not supported", {.where = where, .found = found, .fix = fix});
}

struct Size {
  std::string_view name;
  int64_t width, depth, heads;
};
constexpr std::array<Size, 5> kSizes{
    {{"tiny", 192, 12, 3}, {"small", 384, 12, 6}, {"base", 768, 12, 12}, {"large", 1024, 24, 16}, {"huge", 1280, 32, 16}}};

/// "16" out of a "patch16_224" whose prefix has been taken.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t value = 0;
  size_t digits = 0;
  while (digits < text.size() && digits < 5 && text[digits] >= '0' && text[digits] <= '9') value = 10 * value + (text[digits++] - '0');
  if (digits == 0 || value == 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

/// The sizes of a model that timm knows by this name; nothing for one of another kind. What follows a dot names its weights.
std::optional<TimmVitConfig> named_model(const std::string& full_name) {
  std::string_view name = full_name;
  name = name.substr(0, name.find('.'));
  if (const size_t slash = name.rfind('/'); slash != std::string_view::npos) name.remove_prefix(slash + 1);
  TimmVitConfig config;
  if (name == "test_vit") {  // timm's own for tests
    config.hidden_size = 64, config.intermediate_size = 192, config.num_hidden_layers = 6, config.num_attention_heads = 2;
    config.image_size = config.position_image_size = 160;
    return config;
  }
  if (!name.starts_with("vit_")) return std::nullopt;
  name.remove_prefix(4);
  for (const Size& size : kSizes) {
    std::string_view rest = name;
    if (!rest.starts_with(size.name) || !rest.substr(size.name.size()).starts_with("_patch")) continue;
    rest.remove_prefix(size.name.size() + std::string_view("_patch").size());
    const std::optional<int64_t> patch = take_number(rest);
    if (!patch || !rest.starts_with("_")) return std::nullopt;
    rest.remove_prefix(1);
    const std::optional<int64_t> image = take_number(rest);
    if (!image || !rest.empty()) return std::nullopt;
    config.hidden_size = size.width;
    config.intermediate_size = 4 * size.width;
    config.num_hidden_layers = size.depth;
    config.num_attention_heads = size.heads;
    config.patch_size = *patch;
    config.image_size = config.position_image_size = *image;
    return config;
  }
  return std::nullopt;
}

/// The first of `keys` that one of the readers has.
std::optional<int64_t> first_of(std::initializer_list<const ConfigReader*> readers, std::initializer_list<const char*> keys) {
  for (const ConfigReader* reader : readers) {
    for (const char* key : keys) {
      if (reader->has(key)) return reader->integer(key);
    }
  }
  return std::nullopt;
}

void check(const TimmVitConfig& config, const std::string& where) {
  if (config.hidden_size % config.num_attention_heads != 0)
    refuse(where, fmt::format("{} heads, of which {} channels are no multiple", config.num_attention_heads, config.hidden_size),
           "write the number of `heads`");
  if (config.image_size % config.patch_size != 0)
    refuse(where, fmt::format("image_size {}, not a multiple of patch_size {}", config.image_size, config.patch_size));
}

/// Takes from the tensors what they tell.
void read_shapes(TimmVitConfig& config, const TimmVitConfig::ShapeOf& shape_of, const std::string& where) {
  const auto shape = [&](const std::string& name, size_t dimensions) -> const std::vector<int64_t>& {
    const std::vector<int64_t>* found = shape_of(name);
    if (found == nullptr) refuse(where, "no tensor visual.trunk." + name);
    if (found->size() != dimensions || std::ranges::any_of(*found, [](int64_t size) { return size < 1; }))
      refuse(where, fmt::format("visual.trunk.{} of shape [{}]", name, fmt::join(*found, ", ")));
    return *found;
  };
  const std::vector<int64_t>& patches = shape("patch_embed.proj.weight", 4);
  config.hidden_size = patches[0];
  config.patch_size = patches[2];
  const int64_t count = shape("pos_embed", 3)[1] - 1, side = std::llround(std::sqrt(static_cast<double>(count)));
  if (count < 1 || side * side != count) refuse(where, fmt::format("visual.trunk.pos_embed for {} patches, which fill no square", count));
  config.position_image_size = side * config.patch_size;
  config.image_size = config.position_image_size;
  config.intermediate_size = shape("blocks.0.mlp.fc1.weight", 2)[0];
  config.num_hidden_layers = 1;
  while (shape_of(fmt::format("blocks.{}.norm1.weight", config.num_hidden_layers)) != nullptr) ++config.num_hidden_layers;
}

const Json& vit_part(const Json& json, std::string& where) {
  if (json.value("model_type", Json()) != "vision-text-dual-encoder") return json;
  where += ", vision_config";
  const ConfigReader reader(json, where);
  return reader.has("vision_config") && json.at("vision_config").is_object() ? json.at("vision_config") : json;
}

}  // namespace

bool TimmVitConfig::recognises(const Json& json) {
  if (!json.is_object()) return false;
  const Json type = json.value("model_type", Json());
  return type == "timm_vit" || type == "vit" || type == "vision-text-dual-encoder";
}

TimmVitConfig TimmVitConfig::from_json(const Json& whole, const std::string& file) {
  std::string where = file;
  const Json& json = vit_part(whole, where);
  const ConfigReader reader(json, where);
  const std::string type = reader.string("model_type", "");
  if (type != "vit" && type != "timm_vit") refuse(where + ", key model_type", type);
  TimmVitConfig config;
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers);
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  config.image_size = config.position_image_size = reader.integer("image_size", config.image_size);
  config.patch_size = reader.integer("patch_size", config.patch_size);
  config.layer_norm_eps = reader.number("layer_norm_eps", type == "vit" ? 1e-12 : config.layer_norm_eps);
  if (const std::string act = reader.string("hidden_act", "gelu"); act != "gelu") refuse(where + ", key hidden_act", act);
  if (!reader.boolean("qkv_bias", true)) refuse(where + ", key qkv_bias", "false");
  if (reader.integer("num_channels", 3) != 3) refuse(where + ", key num_channels", json.at("num_channels").dump());
  check(config, where);
  return config;
}

Json TimmVitConfig::to_json() const {
  return {{"model_type", "timm_vit"},
          {"hidden_act", "gelu"},
          {"hidden_size", hidden_size},
          {"image_size", position_image_size},
          {"intermediate_size", intermediate_size},
          {"layer_norm_eps", layer_norm_eps},
          {"num_attention_heads", num_attention_heads},
          {"num_hidden_layers", num_hidden_layers},
          {"patch_size", patch_size}};
}

TimmVitConfig TimmVitConfig::from_open_clip(const Json& vision_cfg, const Json& wrapper, const ShapeOf& shape_of,
                                            const std::string& where) {
  static const Json kNothing = Json::object();
  const ConfigReader theirs(vision_cfg.is_object() ? vision_cfg : kNothing, where + ", vision_cfg");
  const ConfigReader around(wrapper.is_object() ? wrapper : kNothing, where + ", vision_cfg");
  const std::string name = theirs.string("timm_model_name", around.string("timm_model_name", ""));
  TimmVitConfig config;
  if (!name.empty()) {
    const std::optional<TimmVitConfig> named = named_model(name);
    if (!named) refuse(where + ", key timm_model_name", name);
    config = *named;
  } else if (vision_cfg.is_object()) {
    refuse(where + ", key timm_model_name", "no such key: a tower of open_clip's own");
  }
  const TimmVitConfig named = config;

  // open_clip itself takes the named model's sizes; a wrapper may have others.
  if (const auto width = first_of({&around}, {"width", "embed_dim", "hidden_size"})) {
    config.hidden_size = *width;
    config.intermediate_size = 4 * *width;
  }
  if (const auto depth = first_of({&around}, {"layers", "depth", "num_hidden_layers"})) config.num_hidden_layers = *depth;
  if (const auto patch = first_of({&around}, {"patch_size"})) config.patch_size = *patch;
  if (const auto size = first_of({&around, &theirs}, {"image_size"})) config.image_size = config.position_image_size = *size;
  if (shape_of("cls_token") != nullptr) read_shapes(config, shape_of, where);

  if (const auto heads = first_of({&around, &theirs}, {"heads", "num_heads", "num_attention_heads"})) {
    config.num_attention_heads = *heads;
  } else if (config.hidden_size != named.hidden_size) {
    const auto head_width = first_of({&around, &theirs}, {"head_width"});
    const bool fits = !name.empty() && config.hidden_size % named.num_attention_heads == 0;
    if (head_width || !fits) config.num_attention_heads = std::max<int64_t>(1, config.hidden_size / head_width.value_or(64));
    warn(fmt::format("{}: a tower of {} channels where {} has {}: {} heads are assumed; `heads` in `vision_cfg` says otherwise", where,
                     config.hidden_size, name.empty() ? "ViT-B" : name, named.hidden_size, config.num_attention_heads));
  }
  check(config, where);
  return config;
}

std::string open_clip_tensor_name(const std::string& full_name) {
  std::string_view name = full_name;
  const auto take = [&](std::string_view prefix) {
    if (!name.starts_with(prefix)) return false;
    name.remove_prefix(prefix.size());
    return true;
  };
  if (name == "visual_projection.weight") return "visual.head.proj.weight";
  if (name == "logit_scale") return "logit_scale";
  if (!take("vision_model.")) take("vit.");
  const std::string trunk = "visual.trunk.";
  if (name == "embeddings.cls_token") return trunk + "cls_token";
  if (name == "embeddings.position_embeddings") return trunk + "pos_embed";
  if (take("embeddings.patch_embeddings.projection.")) return fmt::format("{}patch_embed.proj.{}", trunk, name);
  if (take("layernorm.")) return fmt::format("{}norm.{}", trunk, name);
  if (!take("encoder.layer.") && !take("layers.")) return "";
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return "";
  const std::string block = fmt::format("{}blocks.{}.", trunk, name.substr(0, dot));
  name.remove_prefix(dot + 1);
  struct Part {
    std::string_view theirs, ours, suffix;
  };
  constexpr Part kParts[] = {{"layernorm_before.", "norm1.", ""},
                             {"layernorm_after.", "norm2.", ""},
                             {"attention.attention.query.", "attn.qkv.", "@0/3"},
                             {"attention.attention.key.", "attn.qkv.", "@1/3"},
                             {"attention.attention.value.", "attn.qkv.", "@2/3"},
                             {"attention.q_proj.", "attn.qkv.", "@0/3"},
                             {"attention.k_proj.", "attn.qkv.", "@1/3"},
                             {"attention.v_proj.", "attn.qkv.", "@2/3"},
                             {"attention.output.dense.", "attn.proj.", ""},
                             {"attention.o_proj.", "attn.proj.", ""},
                             {"intermediate.dense.", "mlp.fc1.", ""},
                             {"output.dense.", "mlp.fc2.", ""},
                             {"mlp.fc1.", "mlp.fc1.", ""},
                             {"mlp.fc2.", "mlp.fc2.", ""}};
  for (const Part& part : kParts) {
    if (take(part.theirs)) return fmt::format("{}{}{}{}", block, part.ours, name, part.suffix);
  }
  return "";
}

}  // namespace multimeditron
