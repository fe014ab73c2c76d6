#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"
#include "generation/parity_report.h"
#include "models/graph.h"
#include "models/tensors.h"
#include "models/vision/gating_network.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = fs::path(TEST_DATA) / "gate";

/// A gate of a folder, ready to compute.
struct Gate {
  explicit Gate(const fs::path& folder, at::ScalarType dtype = at::kFloat) : network(GateConfig::from_folder(folder)) {
    buckets = network.make_buckets("", "gate");
    for (auto& bucket : buckets) allocate(*bucket, dtype);
    load_gate(network, folder);
    network.visit("", [&](const std::string& name, Parameter& parameter) { parameters[name] = &parameter; });
  }

  GatingNetwork network;
  std::vector<std::unique_ptr<Bucket>> buckets;
  std::map<std::string, Parameter*> parameters;
};

class Expected {
 public:
  at::Tensor operator()(const std::string& name) const {
    const TensorView* view = reader_.find(name);
    EXPECT_NE(view, nullptr) << name;
    return view == nullptr ? at::ones({1}) : to_tensor(*view).clone();
  }

 private:
  SafetensorsReader reader_{kRoot / "expected.safetensors"};
};

/// max |a - b| / max |b|
double difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return ((a.to(at::kDouble) - b.to(at::kDouble)).abs().max() / b.to(at::kDouble).abs().max()).item<double>();
}

TEST(Gate, LogitsAreTorchvisions) {
  const Expected expected;
  Gate gate(kRoot / "gate");
  EXPECT_EQ(gate.network.config().num_classes, 3);
  EXPECT_EQ(gate.network.config().class_names, (std::vector<std::string>{"experts/disc", "experts/bars", "experts/both"}));
  EXPECT_EQ(gate.network.resnet().shape().stages[1].blocks, 2);
  report_parity("gate", "features", difference(gate.network.resnet().features(expected("pixels")), expected("features")), 1e-5);
  report_parity("gate", "logits", difference(gate.network.forward(expected("pixels")), expected("logits")), 1e-5);
}

/// transformers' folder has the same weights under other names, and no normalisation of its own.
TEST(Gate, ReadsTransformersFolders) {
  const Expected expected;
  Gate gate(kRoot / "transformers");
  EXPECT_EQ(gate.network.config().class_names, (std::vector<std::string>{"experts/disc", "experts/bars", "experts/both"}));
  EXPECT_LT(difference(gate.network.forward(expected("pixels")), expected("logits")), 1e-5);
}

/// Gradients of every tensor, with the running statistics (as in mixtures that are trained as a whole) and with the batch's own.
TEST(Gate, GradientsAreTorchs) {
  const Expected expected;
  for (const BatchNormMode mode : {BatchNormMode::kRunning, BatchNormMode::kBatch}) {
    Gate gate(kRoot / "gate");
    for (auto& bucket : gate.buckets) set_trained(*bucket, true, at::kFloat);
    GraphLeaves leaves(gate.network);
    at::Tensor loss, logits;
    {
      const GraphLeaves::Scope scope(leaves);
      const at::AutoGradMode grad(true);
      const ResNet& resnet = gate.network.resnet();
      logits = resnet.classify(resnet.features(expected("pixels"), mode));
      loss = at::cross_entropy_loss(logits, at::tensor({0, 2, 1, 1, 0}, at::kLong));
    }
    leaves.backward({loss}, {at::ones({})});
    const bool is_batch = mode == BatchNormMode::kBatch;
    const std::string prefix = is_batch ? "batch." : "gradient.";
    double largest = 0, statistics = 0;
    for (const auto& [name, parameter] : gate.parameters) {
      const std::string theirs = name.substr(std::string("resnet.").size());
      if (parameter->role == Role::kLearnt) {
        largest = std::max(largest, difference(parameter->grad, expected(prefix + theirs)));
      } else if (is_batch && parameter->role == Role::kStatistic) {
        statistics = std::max(statistics, difference(parameter->data, expected(prefix + theirs)));
      } else if (is_batch) {
        EXPECT_EQ(parameter->data.item<int64_t>(), 301) << name;
      }
    }
    report_parity("gate", is_batch ? "gradients with the batch's statistics" : "gradients", largest, 1e-4);
    if (!is_batch) continue;
    report_parity("gate", "logits with the batch's statistics", difference(logits, expected("batch.logits")), 1e-5);
    report_parity("gate", "running statistics after a step", statistics, 1e-5);
  }
}

/// In bf16 the classes' probabilities stay near; the count of batches is not rounded.
TEST(Gate, ComputesInBf16) {
  const Expected expected;
  Gate gate(kRoot / "gate", at::kBFloat16);
  const at::Tensor logits = gate.network.forward(expected("pixels"));
  EXPECT_EQ(logits.scalar_type(), at::kFloat);
  EXPECT_LT((logits.softmax(1) - expected("logits").softmax(1)).abs().max().item<double>(), 0.02);
  EXPECT_EQ(gate.parameters.at("resnet.bn1.num_batches_tracked")->data.scalar_type(), at::kLong);
  EXPECT_EQ(gate.parameters.at("resnet.bn1.num_batches_tracked")->data.item<int64_t>(), 300);
}

/// Weights that change after the first images, by loading or by training, count for the next ones.
TEST(Gate, FoldedWeightsFollowTheOriginals) {
  const Expected expected;
  Gate gate(kRoot / "gate");
  gate.network.forward(expected("pixels"));
  gate.parameters.at("resnet.layer1.0.bn2.running_mean")->data.add_(0.5);
  const at::Tensor folded = gate.network.forward(expected("pixels"));
  for (auto& bucket : gate.buckets) set_trained(*bucket, true, at::kFloat);  // then nothing is folded
  EXPECT_LT(difference(folded, gate.network.forward(expected("pixels"))), 1e-5);
  EXPECT_GT(difference(folded, expected("logits")), 1e-3);
}

/// The names, shapes and bytes of the original's folder.
TEST(Gate, WritesTheOriginalsLayout) {
  Gate gate(kRoot / "gate");
  const TemporaryFolder out;
  save_gate(gate.network, out.path());
  const SafetensorsReader ours(out.path()), theirs(kRoot / "gate");
  ASSERT_EQ(ours.tensors().size(), theirs.tensors().size());
  for (const auto& [key, view] : theirs.tensors()) {
    const TensorView* other = ours.find(key);
    ASSERT_NE(other, nullptr) << key;
    EXPECT_EQ(other->dtype, view.dtype) << key;
    EXPECT_EQ(other->shape, view.shape) << key;
    EXPECT_TRUE(std::ranges::equal(other->bytes, view.bytes)) << key;
  }
  const Json config = read_json(out / "config.json"), reference = read_json(kRoot / "gate/config.json");
  for (const char* key : {"architectures", "model_type", "num_classes", "class_names"})
    EXPECT_EQ(config.value(key, Json()), reference.value(key, Json())) << key;
}

/// A file of weights tells its sizes as its folder does, and a network that lacks some of its tensors is not filled with the others.
TEST(Gate, AFileOfWeightsIsReadAsAWhole) {
  const fs::path file = kRoot / "gate/model.safetensors";
  GateConfig config = GateConfig::from_folder(kRoot / "gate");
  EXPECT_EQ(backbone_shape(file), config.resnet);
  config.resnet.stages[1].blocks = 1;
  GatingNetwork smaller(config);
  const auto buckets = smaller.make_buckets("", "gate");
  for (const auto& bucket : buckets) allocate(*bucket, at::kFloat);
  for (const GatePart part : {GatePart::kWhole, GatePart::kBackbone})
    EXPECT_USER_ERROR(load_gate(smaller, file, part), "no place in this network", "model.safetensors, tensor resnet.layer2.1.");
  config.resnet.stages[1].blocks = 2;
  config.num_classes = 7;
  GatingNetwork other(config);  // whose classifier is another one
  const auto others = other.make_buckets("", "gate");
  for (const auto& bucket : others) allocate(*bucket, at::kFloat);
  EXPECT_NO_THROW(load_gate(other, file, GatePart::kBackbone));
}

/// torchvision's own state_dict has no prefix; gates of earlier versions have `num_labels` and no names.
TEST(Gate, ReadsBareWeightsAndOlderConfigs) {
  EXPECT_EQ(gate_tensor_name("layer3.0.downsample.1.running_var"), "resnet.layer3.0.downsample.1.running_var");
  EXPECT_EQ(gate_tensor_name("encoder.stages.2.layers.0.shortcut.normalization.running_var"), "resnet.layer3.0.downsample.1.running_var");
  EXPECT_EQ(gate_tensor_name("text_model.embeddings.weight"), "");
  const GateConfig config = GateConfig::from_json({{"model_type", "gating_network"}, {"num_labels", 5}}, ResNetShape(), "config.json");
  EXPECT_EQ(config.num_classes, 5);
  EXPECT_EQ(config.top_k, 1);
  EXPECT_TRUE(config.class_names.empty());
}

/// ResNet-50 as torchvision counts it, from nothing but its shape.
TEST(Gate, ResNet50HasItsNumberOfParameters) {
  GatingNetwork gate({.num_classes = 1000, .class_names = {}, .image_processor = "", .resnet = ResNetShape()});
  int64_t learnt = 0, tensors = 0;
  gate.visit("", [&](const std::string&, Parameter& parameter) {
    ++tensors;
    if (parameter.role == Role::kLearnt) learnt += parameter.numel();
  });
  EXPECT_EQ(learnt, 25557032);
  EXPECT_EQ(tensors, 320);
}

TEST(Gate, TellsWhatIsWrongWithAFolder) {
  const TemporaryFolder out;
  const auto copy = [&](const char* name, const std::function<void(Json&)>& edit) {
    const fs::path folder = out / name;
    fs::copy(kRoot / (std::string(name).starts_with("hf") ? "transformers" : "gate"), folder);
    Json config = read_json(folder / "config.json");
    edit(config);
    write_file_atomic(folder / "config.json", config.dump());
    return folder;
  };
  const auto load = [](const fs::path& folder) { Gate gate(folder); };
  EXPECT_USER_ERROR(load(copy("names", [](Json& json) { json["class_names"].push_back("one more"); })), "class names disagree",
                    "config.json, key class_names", "4 names, num_classes 3");
  EXPECT_USER_ERROR(load(copy("classes",
                              [](Json& json) {
                                json["num_classes"] = 4;
                                json.erase("class_names");
                              })),
                    "wrong shape", "resnet.fc.weight", "[3, 32] where [4, 32] was expected");
  EXPECT_USER_ERROR(load(copy("type", [](Json& json) { json["model_type"] = "clip"; })), "not a gating network", "clip");
  EXPECT_USER_ERROR(load(copy("hf_stride", [](Json& json) { json["downsample_in_bottleneck"] = true; })), "not supported",
                    "downsample_in_bottleneck");
  EXPECT_USER_ERROR(load(copy("hf_basic", [](Json& json) { json["layer_type"] = "basic"; })), "not supported", "layer_type");

  // Weights of something else, and a file cut short.
  const fs::path other = copy("other", [](Json&) {});
  fs::copy_file(fs::path(TEST_DATA) / "expert/clip/model.safetensors", other / "model.safetensors", fs::copy_options::overwrite_existing);
  EXPECT_USER_ERROR(load(other), "no ResNet of bottleneck blocks", "conv1.weight", "missing");
  const fs::path cut = copy("cut", [](Json&) {});
  fs::resize_file(cut / "model.safetensors", fs::file_size(cut / "model.safetensors") - 100);
  EXPECT_USER_ERROR(load(cut), "model.safetensors");
}

}  // namespace
}  // namespace multimeditron::testing
