#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/module.h"
#include "models/vision/resnet.h"

namespace multimeditron {

/// What a gate's config.json says, and the sizes of its tensors.
struct GateConfig {
  int64_t num_classes = 0;
  int64_t top_k = 1;
  std::vector<std::string> class_names;  ///< paths or names of experts, one a class; empty: older gates, matched by index
  std::string image_processor;           ///< `image_processor_path`: folder or hub id; informative
  ResNetShape resnet;

  /// `json`: the original's config.json ("gating_network"; older ones say `num_labels`), or that of transformers' ResNet, whose class names
  /// are those of `id2label`. Throws UserError naming `where` and the key: another model_type, names that disagree with the number of
  /// classes, a form of ResNet that is not computed here.
  static GateConfig from_json(const Json& json, const ResNetShape& resnet, const std::string& where);
  /// A folder's config.json with the shapes of its tensors. Where it has no weights: the shape that config.json tells, else ResNet-50's.
  static GateConfig from_folder(const std::filesystem::path& folder);
  /// The original's config.json.
  Json to_json() const;
};

/// The gate of a mixture: a ResNet that tells what kind of image it sees. In mixtures always in evaluation mode. Tensors lie under
/// `resnet.` as in the original's checkpoints. Nothing has to be called between loading the weights and forward().
class GatingNetwork : public Module {
 public:
  explicit GatingNetwork(GateConfig config);

  const GateConfig& config() const { return config_; }
  ResNet& resnet() { return resnet_; }
  const ResNet& resnet() const { return resnet_; }

  /// `pixel_values`: [N, 3, H, W] -> logits [N, num_classes], float32 whatever the parameters are. Differentiable where these are.
  at::Tensor forward(const at::Tensor& pixel_values) const;

 private:
  GateConfig config_;
  ResNet resnet_;
};

/// The name of a tensor of a gate's folder as GatingNetwork has it ("resnet.layer1.0.conv1.weight"): the original's names stay, those of
/// transformers' ResNet are translated; empty for what belongs to no gate.
std::string gate_tensor_name(const std::string& name);

/// The sizes of the network in `folder`, or a file of weights, whatever its classes are: a gate's, transformers' or torchvision's.
ResNetShape backbone_shape(const std::filesystem::path& folder);

/// Copies the tensors of `folder`, or of a file, of any of these layouts, into an allocated gate: all, or all but the classifier's. Throws
/// UserErrors for what is missing, misshapen, or of a network that is not this one.
enum class GatePart { kWhole, kBackbone };
void load_gate(GatingNetwork& gate, const std::filesystem::path& folder, GatePart part = GatePart::kWhole);

/// Writes config.json and model.safetensors in the original's layout.
void save_gate(GatingNetwork& gate, const std::filesystem::path& folder);

}  // namespace multimeditron
