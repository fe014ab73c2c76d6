#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"
#include "generation/parity_report.h"
#include "models/graph.h"
#include "models/multimodal/tensor_sources.h"
#include "models/tensors.h"
#include "models/vision/folder.h"
#include "models/vision/timm_vit.h"
#include "models/vision/tower.h"

// Towers against transformers, timm and open_clip: tests/reference/vision_goldens.py.
namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(TEST_DATA) / "vision";

uint32_t crc32(const std::string& text) {
  uint32_t crc = 0xffffffff;
  for (const char c : text) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

/// The reference's `drawn`: numbers in [-1, 1) that depend on name and place.
at::Tensor drawn(const std::string& name, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    uint64_t z = ((static_cast<uint64_t>(crc32(name)) << 32) + i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    values[i] = static_cast<float>(static_cast<double>(z >> 40) / 8388608.0 - 1);
  }
  return at::tensor(values).view(shape);
}

/// The reference's `weight`.
at::Tensor weight(const std::string& name, const std::vector<int64_t>& shape) {
  const at::Tensor value = drawn(name, shape);
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (shape.empty()) return value + 2;
  if (name.ends_with("bias")) return 0.1 * value;
  if (shape.size() == 1 && !has("class_embedding")) return 1 + 0.2 * value;
  if (has("class_embedding") || has("cls_token") || has("pos_embed") || has("position_embedding")) return 0.5 * value;
  return value * std::sqrt(3.0 / static_cast<double>(value.numel() / shape[0]));
}

double largest_of(const at::Tensor& tensor) {
  return tensor.abs().max().item<double>();
}

/// max|a - b| / max|b| over the places that the reference kept, and the difference of the norms.
double difference(const at::Tensor& ours, const Json& digest) {
  const at::Tensor flat = ours.detach().to(at::kDouble).flatten();
  const double norm = digest["norm"], largest = digest["largest"];
  double difference = std::abs(flat.norm().item<double>() - norm) / norm;
  for (size_t i = 0; i < digest["places"].size(); ++i) {
    const double found = flat[digest["places"][i].get<int64_t>()].item<double>();
    difference = std::max(difference, std::abs(found - digest["values"][i].get<double>()) / largest);
  }
  return difference;
}

struct Tower {
  Tower(const Json& golden, at::ScalarType dtype) {
    tower = make_vision_tower(VisionConfig::from_json(golden["config"], "golden").for_image_size(golden["image_size"]));
    buckets = tower->make_buckets("", "tower");
    for (auto& bucket : buckets) {
      allocate(*bucket, dtype);
      for (Parameter* parameter : bucket->parameters) parameter->data.copy_(weight(parameter->name, parameter->shape));
    }
  }
  std::unique_ptr<VisionTower> tower;
  std::vector<std::unique_ptr<Bucket>> buckets;
};

std::string label(const Json& golden) {
  return fmt::format("{} {} px of {}", golden["kind"].get<std::string>(), golden["image_size"].dump(), golden["config"].dump());
}

TEST(VisionTowers, GiveTheFeaturesAndGradientsOfTheReference) {
  double features = 0, gradients = 0;
  const Json goldens = read_json(kFolder / "goldens.json");
  for (const Json& golden : goldens["towers"]) {
    SCOPED_TRACE(label(golden));
    Tower made(golden, at::kFloat);
    for (auto& bucket : made.buckets) set_trained(*bucket, true, at::kFloat);
    const int64_t size = golden["image_size"];
    GraphLeaves leaves(*made.tower);
    at::Tensor output;
    {
      const GraphLeaves::Scope scope(leaves);
      const at::AutoGradMode mode(true);
      output = made.tower->forward(2 * drawn("pixels", {3, 3, size, size}));
    }
    ASSERT_EQ(output.sizes().vec(), golden["shape"].get<std::vector<int64_t>>());
    features = std::max(features, difference(output, golden["features"]));
    leaves.backward({output}, {drawn("direction", output.sizes().vec())});
    double total = 0;
    for (const Json& gradient : golden["gradients"]) total = std::hypot(total, gradient["norm"].get<double>());
    std::set<std::string> seen;
    made.tower->visit("", [&](const std::string& name, Parameter& parameter) {
      if (!golden["gradients"].contains(name)) {
        EXPECT_TRUE(name.starts_with("post_layernorm")) << name << " has no gradient in the reference";
        return;
      }
      seen.insert(name);
      const Json& expected = golden["gradients"][name];
      if (expected["norm"].get<double>() < 1e-6 * total) {
        EXPECT_LT(parameter.grad.norm().item<double>(), 1e-6 * total) << name;  // a key bias: its true gradient is 0
      } else {
        const double found = difference(parameter.grad, expected);
        EXPECT_LT(found, 1e-4) << name;
        gradients = std::max(gradients, found);
      }
    });
    EXPECT_EQ(seen.size(), golden["gradients"].size());
  }
  testing::report_parity("vision", "features of towers of every kind", features, 1e-5);
  testing::report_parity("vision", "gradients of towers by name", gradients, 1e-4);
}

TEST(VisionTowers, StayWithinTheReferencesSpreadInBf16) {
  const Json goldens = read_json(kFolder / "goldens.json");
  for (const Json& golden : goldens["towers"]) {
    SCOPED_TRACE(label(golden));
    const int64_t size = golden["image_size"];
    const at::NoGradGuard no_grad;
    const at::Tensor pixels = 2 * drawn("pixels", {3, 3, size, size});
    const at::Tensor exact = Tower(golden, at::kFloat).tower->forward(pixels);
    const at::Tensor narrow = Tower(golden, at::kBFloat16).tower->forward(pixels);
    ASSERT_EQ(narrow.scalar_type(), at::kBFloat16);
    // Twice: both are largest values of many roundings, and ours are other ones.
    EXPECT_LE(largest_of(narrow.to(at::kFloat) - exact) / largest_of(exact), 2 * golden["bf16_spread"].get<double>());
  }
}

TEST(VisionTowers, TakeOtherImageSizesOnlyInWholePatches) {
  const Json clip = {{"model_type", "clip"}, {"vision_config", {{"image_size", 224}, {"patch_size", 14}}}};
  const VisionConfig config = VisionConfig::from_json(clip, "config.json");
  EXPECT_EQ(config.num_patches(), 256);
  EXPECT_EQ(config.for_image_size(336).num_patches(), 576);
  EXPECT_USER_ERROR(config.for_image_size(330), "image_size 330", "322 or 336");
}

/// A folder's tower with its weights.
struct Loaded {
  explicit Loaded(const fs::path& path) : folder(read_vision_folder(path)), tower(make_vision_tower(folder.config)) {
    sources.add(folder.weights);
    buckets = tower->make_buckets(folder.config.prefix + tower_name(folder.config.kind) + ".", "tower");
    for (auto& bucket : buckets) {
      allocate(*bucket, at::kFloat);
      for (Parameter* parameter : bucket->parameters) {
        const TensorSources::Found* found = sources.find(parameter->name);
        if (found == nullptr) {
          ADD_FAILURE() << "no " << parameter->name << " in " << path;
          continue;
        }
        EXPECT_EQ(found->view->shape, parameter->shape) << parameter->name;
        parameter->data.copy_(to_tensor(*found->view));
      }
    }
  }
  VisionFolder folder;
  std::unique_ptr<VisionTower> tower;
  TensorSources sources;
  std::vector<std::unique_ptr<Bucket>> buckets;
};

TEST(BiomedClip, IsTheSameTowerInEveryLayoutOfItsFiles) {
  const Json golden = read_json(kFolder / "goldens.json")["biomedclip"];
  for (const char* name : {"biomedclip", "vit", "dual"}) {
    SCOPED_TRACE(name);
    const Loaded loaded(kFolder / name);
    EXPECT_EQ(loaded.folder.config.kind, VisionKind::kTimmVit);
    EXPECT_EQ(loaded.folder.processor.width(), 32);
    const at::NoGradGuard no_grad;
    const at::Tensor features = loaded.tower->forward(drawn("pixels", {2, 3, 32, 32}));
    ASSERT_EQ(features.sizes().vec(), golden["shape"].get<std::vector<int64_t>>());
    EXPECT_LE(difference(features, golden["features"]), 1e-5);
  }
  const Loaded open_clip(kFolder / "biomedclip");
  std::vector<std::string> passengers;
  for (const auto& [name, found] : open_clip.sources.all()) {
    if (!name.starts_with("visual.trunk.")) passengers.push_back(name);
  }
  EXPECT_EQ(passengers, golden["passengers"].get<std::vector<std::string>>());
}

/// A copy of the open_clip folder, to be changed.
class BiomedClipFolder : public ::testing::Test {
 protected:
  BiomedClipFolder() {
    fs::copy(kFolder / "biomedclip", folder_.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }

  void write(const char* file, const std::string& json) { write_file_atomic(folder_ / file, json); }
  /// open_clip_config.json with this `vision_cfg`.
  void write_vision(const std::string& vision_cfg) {
    write("open_clip_config.json", fmt::format(R"({{"model_cfg": {{"vision_cfg": {}}}, "preprocess_cfg": {{}}}})", vision_cfg));
  }
  TimmVitConfig vit() { return TimmVitConfig::from_json(read_vision_folder(folder_.path()).config.json, "config"); }
  void remove_weights() { fs::remove(folder_ / "open_clip_pytorch_model.bin"); }

  TemporaryFolder folder_;
};

TEST_F(BiomedClipFolder, TellsItsSizesWithoutWeights) {
  remove_weights();
  fs::remove(folder_ / "config.json");
  write_vision(R"({"timm_model_name": "vit_base_patch16_224", "image_size": 224})");
  const TimmVitConfig base = vit();
  EXPECT_EQ((std::array{base.hidden_size, base.intermediate_size, base.num_hidden_layers, base.num_attention_heads, base.patch_size,
                        base.image_size}),
            (std::array<int64_t, 6>{768, 3072, 12, 12, 16, 224}));
  const VisionFolder whole = read_vision_folder(folder_.path());
  int64_t count = 0;
  make_vision_tower(whole.config)->visit("", [&](const std::string&, Parameter& parameter) { count += parameter.numel(); });
  EXPECT_EQ(count, 85798656);  // ViT-B/16 of timm without its classifier
  write_vision(R"({"timm_model_name": "hf-hub:timm/vit_large_patch14_336.some_tag", "image_size": 336})");
  EXPECT_EQ(vit().num_hidden_layers, 24);
  EXPECT_EQ(vit().num_positions(), 1 + 24 * 24);
  fs::remove(folder_ / "open_clip_config.json");
  write("config.json", R"({"vision_cfg": {"image_size": 64, "patch_size": 16, "width": 192}})");
  EXPECT_EQ(vit().hidden_size, 192);
  EXPECT_EQ(vit().num_attention_heads, 3);
  EXPECT_EQ(read_vision_folder(folder_.path()).processor.width(), 64);
}

TEST_F(BiomedClipFolder, TheTensorsShapesCount) {
  fs::remove(folder_ / "config.json");  // what is left names ViT-B/16
  const TimmVitConfig config = vit();
  EXPECT_EQ(config.hidden_size, 24);
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.num_attention_heads, 12);  // the named model's
  EXPECT_EQ(config.image_size, 32);
  write_vision(R"({"timm_model_name": "vit_base_patch16_224", "image_size": 32, "heads": 3})");
  EXPECT_EQ(vit().num_attention_heads, 3);
  write_vision(R"({"timm_model_name": "vit_base_patch16_224", "image_size": 32, "heads": 5})");
  EXPECT_USER_ERROR(vit(), "5 heads", "heads");
}

TEST_F(BiomedClipFolder, OtherTowersAreRefusedByName) {
  write_vision(R"({"timm_model_name": "convnext_base", "image_size": 224})");
  EXPECT_USER_ERROR(vit(), "open_clip_config.json", "timm_model_name", "convnext_base", "vit_{tiny");
  for (const char* name :
       {"vit_base_patch16_clip_224", "vit_base_patch16_siglip_224", "vit_base_r50_s16_224", "vit_base_patch_224", "vit_base_patch0_224"}) {
    write_vision(fmt::format(R"({{"timm_model_name": "{}"}})", name));
    EXPECT_USER_ERROR(vit(), name);
  }
  write_vision(R"({"layers": 12, "width": 768, "patch_size": 32})");
  EXPECT_USER_ERROR(vit(), "open_clip's own");
  write("config.json", R"({"model_type": "siglip", "vision_config": {}})");
  EXPECT_USER_ERROR(read_vision_folder(folder_.path()), "model_type", "siglip");
  write("config.json", R"({"model_type": "vit", "hidden_act": "gelu_new"})");
  EXPECT_USER_ERROR(read_vision_folder(folder_.path()), "hidden_act", "gelu_new");
  write("config.json", R"({"model_type": "vision-text-dual-encoder", "vision_config": {"model_type": "swin"}})");
  EXPECT_USER_ERROR(read_vision_folder(folder_.path()), "vision_config, key model_type", "swin");
}

/// A mixture names an image processor of its own.
TEST_F(BiomedClipFolder, AProcessorThatNobodyAsksForIsNotRead) {
  Json json = read_json(folder_ / "open_clip_config.json");
  json["preprocess_cfg"]["resize_mode"] = "unheard-of";
  write("open_clip_config.json", json.dump());
  EXPECT_USER_ERROR(read_vision_folder(folder_.path()), "unheard-of");
  EXPECT_TRUE(read_vision_folder(folder_.path(), /*needs_processor=*/false).processor.config.is_null());
}

TEST_F(BiomedClipFolder, ATensorThatWouldBeLeftOutIsNamed) {
  std::vector<TensorSource> tensors;
  const std::vector<std::byte> zeros(4 * 24 * 24);
  const WeightsReader reader(kFolder / "biomedclip");
  for (const auto& [name, view] : reader.tensors())
    tensors.push_back(
        {.name = "wrapped." + name, .dtype = view.dtype, .shape = view.shape, .bytes = [bytes = view.bytes] { return bytes; }});
  write_safetensors(folder_.path(), "model", tensors);
  EXPECT_EQ(read_vision_folder(folder_.path()).config.prefix, "wrapped.");
  tensors.push_back({.name = "wrapped.visual.trunk.blocks.0.ls1.gamma", .dtype = DType::kF32, .shape = {24}, .bytes = [&] {
                       return std::span(zeros).first(96);
                     }});
  write_safetensors(folder_.path(), "model", tensors);
  EXPECT_USER_ERROR(read_vision_folder(folder_.path()), "visual.trunk.blocks.0.ls1.gamma", "plain ViT");
}

TEST(BiomedClip, PartsOfATensorMustAllBeThere) {
  const TemporaryFolder folder;
  fs::copy(kFolder / "vit", folder.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  const SafetensorsReader reader(kFolder / "vit");
  std::vector<TensorSource> tensors;
  for (const auto& [name, view] : reader.tensors()) {
    if (name.find("layer.1.attention.attention.key.bias") == std::string::npos &&
        name.find("layers.1.attention.k_proj.bias") == std::string::npos)
      tensors.push_back({.name = name, .dtype = view.dtype, .shape = view.shape, .bytes = [bytes = view.bytes] { return bytes; }});
  }
  ASSERT_EQ(tensors.size() + 1, reader.tensors().size());
  write_safetensors(folder.path(), "model", tensors);
  TensorSources sources;
  EXPECT_USER_ERROR(sources.add(read_vision_folder(folder.path()).weights), "2 of 3");
}

}  // namespace
}  // namespace multimeditron
