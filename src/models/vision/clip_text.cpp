#include "models/vision/clip_text.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/index.h>
#include <ATen/ops/layer_norm.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "models/config_reader.h"

namespace multimeditron {

ClipTextConfig ClipTextConfig::from_json(const Json& json, const std::string& where) {
  const ConfigReader whole(json, where);
  const ConfigReader reader(whole.object("text_config"), where + ", text_config");
  ClipTextConfig config;
  config.vocab_size = reader.integer("vocab_size", config.vocab_size);
  config.hidden_size = reader.integer("hidden_size", config.hidden_size);
  config.intermediate_size = reader.integer("intermediate_size", config.intermediate_size);
  config.num_hidden_layers = reader.integer("num_hidden_layers", config.num_hidden_layers);
  config.num_attention_heads = reader.integer("num_attention_heads", config.num_attention_heads);
  config.max_position_embeddings = reader.integer("max_position_embeddings", config.max_position_embeddings);
  if (reader.has("eos_token_id")) config.eos_token_id = reader.index("eos_token_id");
  config.layer_norm_eps = reader.number("layer_norm_eps", config.layer_norm_eps);
  config.hidden_act = reader.string("hidden_act", config.hidden_act);
  const auto refuse = [&](const char* key, const std::string& found) {
    throw UserError("this text tower is not supported",
                    {.where = fmt::format("{}, key {}", reader.where(), key), .found = found, .fix = "name another CLIP model"});
  };
  if (config.hidden_act != "quick_gelu" && config.hidden_act != "gelu")
    refuse("hidden_act", config.hidden_act + "; known: quick_gelu, gelu");
  if (config.hidden_size % config.num_attention_heads != 0) refuse("num_attention_heads", "hidden_size is not a multiple of it");
  return config;
}

int64_t ClipTextConfig::end_of(std::span<const int64_t> ids) const {
  constexpr int64_t kLegacyEos = 2;
  const auto end = eos_token_id == kLegacyEos ? std::max_element(ids.begin(), ids.end()) : std::find(ids.begin(), ids.end(), eos_token_id);
  return end == ids.end() ? static_cast<int64_t>(ids.size()) - 1 : end - ids.begin();
}

ClipTextTower::ClipTextTower(const ClipTextConfig& config) : config_(config) {
  own_bucket();
  const int64_t dim = config.hidden_size;
  token_embedding_ = &register_parameter("embeddings.token_embedding.weight", {config.vocab_size, dim});
  position_embedding_ = &register_parameter("embeddings.position_embedding.weight", {config.max_position_embeddings, dim});
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<ClipLayer>(
        ClipLayerConfig{dim, config.intermediate_size, config.num_attention_heads, config.layer_norm_eps, config.hidden_act}));
    register_module("encoder.layers." + std::to_string(i), *layers_.back());
  }
  norm_weight_ = &register_parameter("final_layer_norm.weight", {dim}, true);
  norm_bias_ = &register_parameter("final_layer_norm.bias", {dim}, true);
}

at::Tensor ClipTextTower::pooled(const at::Tensor& input_ids, const at::Tensor& ends) const {
  const int64_t count = input_ids.size(0), length = input_ids.size(1);
  at::Tensor x = at::embedding(token_embedding_->data, input_ids) + position_embedding_->data.narrow(0, 0, length);
  for (const auto& layer : layers_) x = layer->forward(x, true);
  const at::Tensor end_tokens = at::index(x, {at::arange(count, at::kLong), ends});
  return at::layer_norm(end_tokens, {config_.hidden_size}, norm_weight_->data, norm_bias_->data, config_.layer_norm_eps);
}

}  // namespace multimeditron
