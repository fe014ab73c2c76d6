#include "cli/demo/models.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "cli/demo/random.h"
#include "models/language/causal_lm.h"
#include "models/vision/clip.h"
#include "text/tokenizer.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLanguageModel = 1, kVisionTower = 2;  // streams of the seed

void write_json(const fs::path& file, const Json& json) {
  write_file_atomic(file, json.dump(2) + "\n");
}

/// Fills a parameter: [numel] values.
using Fill = std::function<void(const std::string& name, const Parameter& parameter, std::vector<float>& values)>;

/// Writes the tree's parameters as model.safetensors. Norms are one, biases zero; `fill` draws the rest.
void write_weights(const fs::path& folder, Module& tree, const std::string& prefix, const Fill& fill) {
  std::vector<std::vector<float>> memory;
  std::vector<TensorSource> sources;
  tree.visit(prefix, [&](const std::string& name, Parameter& parameter) {
    const bool is_bias = name.ends_with(".bias");
    std::vector<float> values(parameter.numel(), parameter.is_norm && !is_bias ? 1.0f : 0.0f);
    if (!parameter.is_norm && !is_bias) fill(name, parameter, values);
    memory.push_back(std::move(values));
    sources.push_back({name, DType::kF32, parameter.shape, nullptr});
  });
  for (size_t i = 0; i < sources.size(); ++i) {
    sources[i].bytes = [&values = memory[i]] { return std::as_bytes(std::span(values)); };
  }
  write_safetensors(folder, "model", std::move(sources));
}

void draw(std::vector<float>& values, double deviation, Random& random) {
  for (float& value : values) value = static_cast<float>(deviation * random.normal());
}

/// `weight`: [width, 3, patch, patch]. Each filter is a random mixture of the 16 lowest cosine frequencies, the same for the three
/// colours: blind to pixel noise, and what it sees is of the size of the position embedding.
void draw_patch_embedding(const Parameter& parameter, std::vector<float>& weight, Random& random) {
  constexpr int64_t kFrequencies = 4;
  const int64_t width = parameter.shape[0], channels = parameter.shape[1], patch = parameter.shape[2];
  const auto wave = [&](int64_t frequency, int64_t x) {
    return std::cos(std::numbers::pi * static_cast<double>(frequency) * (static_cast<double>(x) + 0.5) / static_cast<double>(patch));
  };
  for (int64_t filter = 0; filter < width; ++filter) {
    std::vector<double> values(patch * patch);
    for (int64_t u = 0; u < kFrequencies; ++u) {
      for (int64_t v = 0; v < kFrequencies; ++v) {
        // Contrasts within a patch are smaller than its brightness.
        const double amplitude = (u + v == 0 ? 1 : 2) * random.normal() / static_cast<double>(channels * patch * patch);
        for (int64_t y = 0; y < patch; ++y) {
          for (int64_t x = 0; x < patch; ++x) values[y * patch + x] += amplitude * wave(u, y) * wave(v, x);
        }
      }
    }
    for (int64_t channel = 0; channel < channels; ++channel) {
      std::copy(values.begin(), values.end(), weight.begin() + (filter * channels + channel) * patch * patch);
    }
  }
}

}  // namespace

void write_language_model(const fs::path& folder, uint64_t seed) {
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const Json json = {{"architectures", {"Qwen3ForCausalLM"}},
                     {"model_type", "qwen3"},
                     {"vocab_size", tokenizer.size()},
                     {"hidden_size", kHiddenSize},
                     {"intermediate_size", 3 * kHiddenSize},
                     {"num_hidden_layers", 2},
                     {"num_attention_heads", 4},
                     {"num_key_value_heads", 2},
                     {"head_dim", 32},
                     {"max_position_embeddings", 1024},
                     {"rms_norm_eps", 1e-6},
                     {"rope_theta", 10000.0},
                     {"tie_word_embeddings", true},
                     {"hidden_act", "silu"},
                     {"attention_bias", false},
                     {"initializer_range", 0.02},
                     {"torch_dtype", "float32"}};
  CausalLm llm(read_decoder_config(json, (folder / "config.json").string()));
  Random random(derive_seed(seed, kLanguageModel, 0));
  write_weights(folder, llm, "", [&](const std::string&, const Parameter&, std::vector<float>& values) {
    draw(values, llm.config().initializer_range, random);
  });
  write_json(folder / "config.json", json);
}

void write_vision_tower(const fs::path& folder, uint64_t seed) {
  constexpr int64_t kImageSize = 64;
  fs::create_directories(folder);
  const Json json = {{"architectures", {"CLIPVisionModel"}},
                     {"model_type", "clip_vision_model"},
                     {"hidden_size", 128},
                     {"intermediate_size", 256},
                     {"num_hidden_layers", 1},
                     {"num_attention_heads", 4},
                     {"image_size", kImageSize},
                     {"patch_size", 16},
                     {"num_channels", 3},
                     {"layer_norm_eps", 1e-5},
                     {"hidden_act", "quick_gelu"},
                     {"torch_dtype", "float32"}};
  ClipVisionTower tower(ClipVisionConfig::from_json(json, (folder / "config.json").string()));
  Random random(derive_seed(seed, kVisionTower, 0));
  write_weights(folder, tower, "vision_model.", [&](const std::string& name, const Parameter& parameter, std::vector<float>& values) {
    if (name.ends_with("patch_embedding.weight")) {
      draw_patch_embedding(parameter, values, random);
    } else {
      // Wide enough that the layers really mix: features of a tower near the identity hardly tell a lesion from an organ.
      draw(values, name.ends_with("position_embedding.weight") ? 0.5 : 0.1, random);
    }
  });
  write_json(folder / "preprocessor_config.json", {{"image_processor_type", "CLIPImageProcessor"},
                                                   {"do_convert_rgb", true},
                                                   {"do_resize", true},
                                                   {"size", {{"shortest_edge", kImageSize}}},
                                                   {"resample", 3},
                                                   {"do_center_crop", true},
                                                   {"crop_size", {{"height", kImageSize}, {"width", kImageSize}}},
                                                   {"do_rescale", true},
                                                   {"rescale_factor", 1.0 / 255},
                                                   {"do_normalize", true},
                                                   {"image_mean", {0.27, 0.27, 0.27}},
                                                   {"image_std", {0.28, 0.28, 0.28}}});
  write_json(folder / "config.json", json);
}

}  // namespace multimeditron::demo
