#include "cli/demo/models.h"

#include <fmt/format.h>

#include <array>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "cli/demo/random.h"
#include "models/language/causal_lm.h"
#include "models/model_folder.h"
#include "text/tokenizer.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLanguageModel = 1;  // stream of the seed

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

}  // namespace

void write_language_model(const fs::path& folder, const std::string& model_type, uint64_t seed) {
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const bool is_llama = model_type == "llama";
  Json json = {{"architectures", {is_llama ? "LlamaForCausalLM" : "Qwen3ForCausalLM"}},
               {"model_type", model_type},
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
               {"tie_word_embeddings", !is_llama},
               {"hidden_act", "silu"},
               {"attention_bias", false},
               {"initializer_range", 0.02},
               {"torch_dtype", "float32"}};
  if (is_llama) {
    json["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 256}};
  }
  CausalLm llm(read_decoder_config(json, (folder / "config.json").string()));
  Random random(derive_seed(seed, kLanguageModel, 0));
  write_weights(folder, llm, "", [&](const std::string&, const Parameter&, std::vector<float>& values) {
    draw(values, llm.config().initializer_range, random);
  });
  write_json(folder / "config.json", json);
}

LanguageModel read_language_model(const std::string& name) {
  const fs::path folder = find_model_folder(name, fs::current_path(), "--llm");
  const DecoderConfig config = read_decoder_config(read_json(folder / "config.json"), (folder / "config.json").string());
  const Tokenizer tokenizer = Tokenizer::load(folder);
  if (!tokenizer.has_chat_template()) {
    throw UserError("the language model has no chat format",
                    {.where = folder.string(),
                     .found = "no chat template",
                     .fix = "take an instruction-tuned model: SmolLM2-Instruct, Qwen3, Llama 3.2 Instruct"});
  }
  constexpr std::array kFormats = {std::pair("<|im_start|>", "qwen3"), std::pair("<|start_header_id|>", "llama"),
                                   std::pair("<|assistant_start|>", "apertus"), std::pair("<SPECIAL_67>", "apertus")};
  for (const auto& [token, type] : kFormats) {
    if (tokenizer.token_id(token)) return {fs::absolute(folder), config.hidden_size, type};
  }
  return {fs::absolute(folder), config.hidden_size, "auto"};  // the recipes learn by `label_mask: assistant`
}

void write_clip(const fs::path& folder, const fs::path& tokenizer_folder) {
  constexpr int64_t kImageSize = 64, kProjection = 64, kTextPositions = 64;
  fs::create_directories(folder);
  const Tokenizer tokenizer = Tokenizer::load(tokenizer_folder);
  tokenizer.save(folder);
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
  const Json vision = {{"model_type", "clip_vision_model"},
                       {"hidden_size", 128},
                       {"intermediate_size", 384},
                       {"num_hidden_layers", 4},
                       {"num_attention_heads", 4},
                       {"image_size", kImageSize},
                       {"patch_size", 8},
                       {"num_channels", 3},
                       {"layer_norm_eps", 1e-5},
                       {"projection_dim", kProjection},
                       {"hidden_act", "quick_gelu"}};
  const Json text = {{"model_type", "clip_text_model"},
                     {"vocab_size", tokenizer.size()},
                     {"hidden_size", 128},
                     {"intermediate_size", 256},
                     {"num_hidden_layers", 2},
                     {"num_attention_heads", 4},
                     {"max_position_embeddings", kTextPositions},
                     {"eos_token_id", tokenizer.eos_token_id().value()},
                     {"layer_norm_eps", 1e-5},
                     {"projection_dim", kProjection},
                     {"hidden_act", "quick_gelu"}};
  write_json(folder / "config.json", {{"architectures", {"CLIPModel"}},
                                      {"model_type", "clip"},
                                      {"projection_dim", kProjection},
                                      {"logit_scale_init_value", 2.6592},
                                      {"torch_dtype", "float32"},
                                      {"text_config", text},
                                      {"vision_config", vision}});
}

}  // namespace multimeditron::demo
