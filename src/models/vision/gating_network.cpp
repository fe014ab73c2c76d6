#include "models/vision/gating_network.h"

#include <fmt/format.h>

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

void require_gate(const Json& json, const std::string& where) {
  if (is_transformers(json)) return;
  if (const std::string type = ConfigReader(json, where).string("model_type", "gating_network"); type != "gating_network")
    throw UserError("this is not a gating network", {.where = where + ", key model_type", .found = type, .fix = kFix});
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
  require_gate(json, where);
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
  if (fs::is_regular_file(folder)) {
    throw UserError("a gate is a folder", {.where = folder.string(),
                                           .found = "a file",
                                           .fix = "name a folder with the weights and a config.json, such as a run of train-gate"});
  }
  const fs::path file = folder / "config.json";
  const Json json = read_json(file);
  require_gate(json, file.string());
  return from_json(json, backbone_shape(folder), file.string());
}

ResNetShape backbone_shape(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  ResNetShape from_config;
  if (fs::exists(file)) {
    const Json json = read_json(file);
    if (is_transformers(json)) from_config = transformers_shape(json, file.string());
  }
  const fs::path weights = fs::is_regular_file(folder) ? folder : WeightsReader::file_in(folder);
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
    if (ours.empty()) {
      unknown = name;
    } else if (part == GatePart::kWhole || !ours.starts_with("resnet.fc.")) {
      tensors[ours] = {&view, name};
    }
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
    const Found found = entry->second;
    tensors.erase(entry);
    if (found.view->shape != parameter.shape) {
      errors.push_back(wrong_shape(reader.file_of(found.name), found.name, found.view->shape, parameter.shape));
      return;
    }
    parameter.data.copy_(to_tensor(*found.view));
  });
  // A network with a tensor more computes something else.
  for (const auto& [name, found] : tensors) {
    errors.emplace_back("a tensor has no place in this network",
                        UserError::Details{.where = fmt::format("{}, tensor {}", reader.file_of(found.name).string(), found.name),
                                           .found = "a part that a ResNet of bottleneck blocks of this shape does not have",
                                           .fix = kFix});
  }
  if (!errors.empty()) throw UserErrors(std::move(errors), kShownErrors);
  if (!unknown.empty()) warn(fmt::format("{}: tensors that belong to no gate are left out, such as {}", folder.string(), unknown));
}

void save_gate(GatingNetwork& gate, const fs::path& folder) {
  std::vector<TensorSource> tensors;
  at::ScalarType dtype = at::kFloat;
  gate.visit("", [&](const std::string& name, Parameter& parameter) {
    if (parameter.role == Role::kLearnt) dtype = parameter.data.scalar_type();
    tensors.push_back(source_of(parameter, name));
  });
  write_safetensors(folder, "model", std::move(tensors));
  Json json = gate.config().to_json();
  json["dtype"] = dtype == at::kFloat ? "float32" : "bfloat16";
  write_file_atomic(folder / "config.json", json.dump(2) + "\n");
}

}  // namespace multimeditron
