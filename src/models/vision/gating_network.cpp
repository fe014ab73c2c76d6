#include "models/vision/gating_network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/weights.h"
#include "models/config_reader.h"
#include "models/tensors.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFix = "name a folder with a gating network, or with a ResNet of bottleneck blocks as transformers writes it";

/// transformers' word for a part of ours inside a stem, block or shortcut.
struct Part {
  const char *ours, *theirs;
};
constexpr std::array<Part, 2> kStem{{{"conv1.", "embedder.embedder.convolution."}, {"bn1.", "embedder.embedder.normalization."}}};
constexpr std::array<Part, 8> kBlock{{{"conv1.", "layer.0.convolution."},
                                      {"bn1.", "layer.0.normalization."},
                                      {"conv2.", "layer.1.convolution."},
                                      {"bn2.", "layer.1.normalization."},
                                      {"conv3.", "layer.2.convolution."},
                                      {"bn3.", "layer.2.normalization."},
                                      {"downsample.0.", "shortcut.convolution."},
                                      {"downsample.1.", "shortcut.normalization."}}};

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// "12." in front of `text`.
std::optional<int64_t> take_number(std::string_view& text) {
  const size_t dot = text.find('.');
  if (dot == 0 || dot > 4 || dot == std::string_view::npos) return std::nullopt;
  int64_t number = 0;
  for (const char digit : text.substr(0, dot)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = 10 * number + (digit - '0');
  }
  text.remove_prefix(dot + 1);
  return number;
}

bool is_transformers(const Json& json) {
  return json.is_object() && json.value("model_type", Json()) == "resnet";
}

std::vector<int64_t> numbers(const ConfigReader& reader, const Json& json, const char* key, std::vector<int64_t> fallback) {
  if (!reader.has(key)) return fallback;
  std::vector<int64_t> values;
  for (const Json& each : json.at(key)) {
    if (!each.is_number_integer() || each.get<int64_t>() < 1) values.clear();
    if (!each.is_number_integer() || each.get<int64_t>() < 1) break;
    values.push_back(each.get<int64_t>());
  }
  if (values.size() != 4) {
    throw UserError("this ResNet is not supported",
                    {.where = fmt::format("{}, key {}", reader.where(), key), .found = json.at(key).dump(), .fix = kFix});
  }
  return values;
}

/// What transformers' config.json says about the sizes; refuses the forms that are not computed here.
ResNetShape transformers_shape(const Json& json, const std::string& where) {
  const ConfigReader reader(json, where);
  const auto refuse = [&](const char* key) {
    throw UserError("this ResNet is not supported",
                    {.where = fmt::format("{}, key {}", where, key), .found = json.at(key).dump(), .fix = kFix});
  };
  if (reader.string("layer_type", "bottleneck") != "bottleneck") refuse("layer_type");
  if (reader.string("hidden_act", "relu") != "relu") refuse("hidden_act");
  if (reader.integer("num_channels", 3) != 3) refuse("num_channels");
  for (const char* key : {"downsample_in_bottleneck", "downsample_in_first_stage"}) {
    if (reader.boolean(key, false)) refuse(key);
  }
  const std::vector<int64_t> sizes = numbers(reader, json, "hidden_sizes", {256, 512, 1024, 2048});
  const std::vector<int64_t> depths = numbers(reader, json, "depths", {3, 4, 6, 3});
  ResNetShape shape{.stem_channels = reader.integer("embedding_size", 64), .stages = {}};
  for (size_t i = 0; i < sizes.size(); ++i) shape.stages.push_back({depths[i], sizes[i] / 4, sizes[i]});
  return shape;
}

/// The classes of transformers' `id2label`, in the order of their ids.
std::vector<std::string> labels(const Json& json, const std::string& where) {
  const ConfigReader reader(json, where);
  const Json& map = reader.object("id2label");
  std::vector<std::string> names;
  for (size_t id = 0; id < map.size(); ++id)
    names.push_back(ConfigReader(map, where + ", id2label").string(std::to_string(id).c_str(), ""));
  for (size_t id = 0; id < names.size(); ++id) {
    if (names[id].empty()) {
      throw UserError("a class of the ResNet has no name",
                      {.where = where + ", key id2label", .found = fmt::format("no \"{}\"", id), .fix = kFix});
    }
    // The names that transformers makes up tell nothing.
    if (names[id] != fmt::format("LABEL_{}", id)) continue;
    return {};
  }
  return names;
}

}  // namespace

GateConfig GateConfig::from_json(const Json& json, const ResNetShape& resnet, const std::string& where) {
  const ConfigReader reader(json, where);
  GateConfig config;
  config.resnet = resnet;
  if (is_transformers(json)) {
    transformers_shape(json, where);  // for what it refuses
    config.class_names = labels(json, where);
    const Json& id2label = reader.object("id2label");
    config.num_classes = id2label.empty() ? 2 : static_cast<int64_t>(id2label.size());  // transformers' default
    return config;
  }
  if (const std::string type = reader.string("model_type", "gating_network"); type != "gating_network") {
    throw UserError("this is not a gating network", {.where = where + ", key model_type", .found = type, .fix = kFix});
  }
  config.num_classes = reader.has("num_classes") ? reader.integer("num_classes") : reader.integer("num_labels");
  config.top_k = reader.integer("top_k", 1);
  config.image_processor = reader.string("image_processor_path", "");
  if (reader.has("class_names")) {
    const Json& names = json.at("class_names");
    if (!names.is_array() || !std::all_of(names.begin(), names.end(), [](const Json& name) { return name.is_string(); })) {
      throw UserError("a model's configuration holds a value of the wrong kind",
                      {.where = where + ", key class_names", .found = "no list of names", .fix = "list one name a class"});
    }
    config.class_names = names.get<std::vector<std::string>>();
  }
  const auto count = static_cast<int64_t>(config.class_names.size());
  if (count != 0 && count != config.num_classes) {
    throw UserError("the gate's class names disagree with its number of classes",
                    {.where = where + ", key class_names",
                     .found = fmt::format("{} names, num_classes {}", count, config.num_classes),
                     .fix = "list one name a class, in the order of the classes"});
  }
  return config;
}

GateConfig GateConfig::from_folder(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  return from_json(read_json(file), backbone_shape(folder), file.string());
}

ResNetShape backbone_shape(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  ResNetShape from_config;
  if (fs::exists(file)) {
    const Json json = read_json(file);
    if (is_transformers(json)) from_config = transformers_shape(json, file.string());
  }
  const fs::path weights = WeightsReader::file_in(folder);
  if (weights.empty()) return from_config;
  const WeightsReader reader(weights);
  std::map<std::string, const std::vector<int64_t>*> shapes;
  for (const auto& [name, view] : reader.tensors()) shapes[gate_tensor_name(name)] = &view.shape;
  const auto shape_of = [&](const std::string& name) {
    const auto found = shapes.find("resnet." + name);
    return found == shapes.end() ? nullptr : found->second;
  };
  return ResNetShape::from_tensors(shape_of, weights.string());
}

Json GateConfig::to_json() const {
  Json json{{"architectures", {"GatingNetwork"}},
            {"model_type", "gating_network"},
            {"num_classes", num_classes},
            {"top_k", top_k},
            {"image_processor_path", image_processor}};
  if (!class_names.empty()) json["class_names"] = class_names;
  return json;
}

GatingNetwork::GatingNetwork(GateConfig config) : config_(std::move(config)), resnet_(config_.resnet, config_.num_classes) {
  register_module("resnet", resnet_);
}

at::Tensor GatingNetwork::forward(const at::Tensor& pixel_values) const {
  return resnet_.classify(resnet_.features(pixel_values)).to(at::kFloat);
}

std::string gate_tensor_name(const std::string& name) {
  std::string_view rest = name;
  if (take(rest, "classifier.1.")) return fmt::format("resnet.fc.{}", rest);
  take(rest, "resnet.");
  for (const Part& part : kStem) {
    std::string_view tail = rest;
    if (take(tail, part.theirs)) return fmt::format("resnet.{}{}", part.ours, tail);
  }
  if (take(rest, "encoder.stages.")) {
    const auto stage = take_number(rest);
    const bool is_layer = take(rest, "layers.");
    const auto block = take_number(rest);
    if (!stage || !is_layer || !block) return "";
    for (const Part& part : kBlock) {
      std::string_view tail = rest;
      if (take(tail, part.theirs)) return fmt::format("resnet.layer{}.{}.{}{}", *stage + 1, *block, part.ours, tail);
    }
    return "";
  }
  for (const char* prefix : {"conv1.", "bn1.", "layer", "fc."}) {
    if (rest.starts_with(prefix)) return fmt::format("resnet.{}", rest);
  }
  return "";
}

std::string transformers_resnet_name(const std::string& name) {
  std::string_view rest = name;
  take(rest, "resnet.");
  if (take(rest, "fc.")) return fmt::format("classifier.1.{}", rest);
  if (take(rest, "layer")) {
    const auto stage = take_number(rest);
    const auto block = take_number(rest);
    for (const Part& part : kBlock) {
      if (stage && block && take(rest, part.ours))
        return fmt::format("resnet.encoder.stages.{}.layers.{}.{}{}", *stage - 1, *block, part.theirs, rest);
    }
    return "";
  }
  for (const Part& part : kStem) {
    if (take(rest, part.ours)) return fmt::format("resnet.{}{}", part.theirs, rest);
  }
  return "";
}

void load_gate(GatingNetwork& gate, const fs::path& folder, GatePart part) {
  const WeightsReader reader(folder);
  struct Found {
    const TensorView* view;
    std::string name;
  };
  std::map<std::string, Found> tensors;
  std::string unknown;
  for (const auto& [name, view] : reader.tensors()) {
    const std::string ours = gate_tensor_name(name);
    if (ours.empty()) unknown = name;
    tensors[ours] = {&view, name};
  }
  std::vector<UserError> errors;
  gate.visit("", [&](const std::string& name, Parameter& parameter) {
    if (part == GatePart::kBackbone && name.starts_with("resnet.fc.")) return;
    const auto entry = tensors.find(name);
    if (entry == tensors.end()) {
      // Old files do without the count, which nothing computes with.
      if (parameter.role == Role::kCount) {
        parameter.data.zero_();
        return;
      }
      errors.emplace_back("a tensor is missing", UserError::Details{.where = folder.string(), .found = "no " + name, .fix = kFix});
      return;
    }
    const TensorView& view = *entry->second.view;
    if (view.shape != parameter.shape) {
      errors.emplace_back(
          "a tensor has the wrong shape",
          UserError::Details{
              .where = fmt::format("{}, tensor {}", reader.file_of(entry->second.name).string(), entry->second.name),
              .found = fmt::format("[{}] where [{}] was expected", fmt::join(view.shape, ", "), fmt::join(parameter.shape, ", ")),
              .fix = "check that config.json and the weights belong together"});
      return;
    }
    parameter.data.copy_(to_tensor(view));
  });
  if (!errors.empty()) throw UserErrors(std::move(errors), kShownErrors);
  if (!unknown.empty()) warn(fmt::format("{}: tensors that belong to no gate are left out, such as {}", folder.string(), unknown));
}

void save_gate(GatingNetwork& gate, const fs::path& folder, GateLayout layout) {
  const bool is_original = layout == GateLayout::kOriginal;
  std::vector<TensorSource> tensors;
  at::ScalarType dtype = at::kFloat;
  gate.visit("", [&](const std::string& name, Parameter& parameter) {
    if (parameter.role == Role::kLearnt) dtype = parameter.data.scalar_type();
    tensors.push_back({.name = is_original ? name : transformers_resnet_name(name),
                       .dtype = dtype_of(parameter.data.scalar_type()),
                       .shape = parameter.shape,
                       .bytes = [&parameter] {
                         return std::span(static_cast<const std::byte*>(parameter.data.const_data_ptr()), parameter.data.nbytes());
                       }});
  });
  write_safetensors(folder, "model", std::move(tensors));
  const GateConfig& config = gate.config();
  Json json = config.to_json();
  if (!is_original) {
    json = {{"architectures", {"ResNetForImageClassification"}},
            {"model_type", "resnet"},
            {"num_channels", 3},
            {"embedding_size", config.resnet.stem_channels},
            {"layer_type", "bottleneck"},
            {"hidden_act", "relu"},
            {"downsample_in_bottleneck", false},
            {"downsample_in_first_stage", false}};
    for (const ResNetShape::Stage& stage : config.resnet.stages) {
      if (stage.out_channels != 4 * stage.width) {
        throw UserError("transformers' ResNet cannot have these widths",
                        {.where = folder.string(),
                         .found = fmt::format("{} channels around blocks of {}", stage.out_channels, stage.width),
                         .fix = "keep the original's layout"});
      }
      json["hidden_sizes"].push_back(stage.out_channels);
      json["depths"].push_back(stage.blocks);
    }
    for (int64_t id = 0; id < config.num_classes; ++id) {
      const std::string label = config.class_names.empty() ? fmt::format("LABEL_{}", id) : config.class_names[static_cast<size_t>(id)];
      json["id2label"][std::to_string(id)] = label;
      json["label2id"][label] = id;
    }
  }
  json["dtype"] = dtype == at::kFloat ? "float32" : "bfloat16";
  write_file_atomic(folder / "config.json", json.dump(2) + "\n");
}

}  // namespace multimeditron
