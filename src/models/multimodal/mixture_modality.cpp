#include "models/multimodal/mixture_modality.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

namespace multimeditron {
namespace {

/// The `k` largest of each row of `weights` [N, E], as ascending indices [N, k]. Of equal weights the first ones.
at::Tensor largest(const at::Tensor& weights, int64_t k) {
  const at::Tensor order = std::get<1>(at::sort(weights.detach(), /*stable=*/true, /*dim=*/1, /*descending=*/true));
  return std::get<0>(order.narrow(1, 0, k).sort(1)).contiguous();
}

/// The gate's class whose weight each expert gets. The original reads the permutation backwards where it matches by name at all: expert e
/// gets the weight of class c where class e belongs to expert c.
std::vector<int64_t> weights_by_class(const ModalityConfig& config) {
  std::vector<int64_t> weight_of = config.class_of;
  if (!config.is_original() || config.spec.fusion_method == "sequence_append") return weight_of;
  if (config.is_pep() && config.spec.fusion_method == "weighted_average") {
    std::iota(weight_of.begin(), weight_of.end(), 0);  // names are ignored
  } else {
    for (size_t e = 0; e < weight_of.size(); ++e) weight_of[static_cast<size_t>(config.class_of[e])] = static_cast<int64_t>(e);
  }
  return weight_of;
}

}  // namespace

MixtureModality::MixtureModality(const ModalityConfig& config)
    : Modality(config), gate_(config.gate), weight_of_(weights_by_class(config)) {
  const int64_t width = config.is_pep() ? config.spec.hidden_size : config.vision.hidden_size;
  for (size_t e = 0; e < config.experts.size(); ++e) {
    experts_.push_back(make_vision_tower(config.experts[e]));
    register_module("experts." + std::to_string(e), *experts_.back());
  }
  register_module("gating_network", gate_);
  if (config.is_pep()) {
    for (size_t e = 0; e < config.experts.size(); ++e) {
      projectors_.push_back(std::make_unique<Projector>(config.experts[e].hidden_size, config.spec.hidden_size));
      register_module("projectors." + std::to_string(e), *projectors_.back());
    }
  } else {
    projectors_.push_back(std::make_unique<Projector>(config.vision.hidden_size, config.spec.hidden_size));
    register_module("projector", *projectors_.back());
  }
  if (config.spec.fusion_method == "cross_attn") {
    cross_attn_ = std::make_unique<CrossAttention>(width, config.spec.cross_attn_heads);
    register_module("cross_attn", *cross_attn_);
  }
}

void MixtureModality::initialise(uint64_t seed) {
  // Seeds that do not meet those of embedding rows (seed + 1, seed + 2).
  for (size_t i = 0; i < projectors_.size(); ++i) projectors_[i]->initialise(seed + 10 * i);
  if (cross_attn_) cross_attn_->initialise(seed + 5);
}

at::Tensor MixtureModality::gate_weights(const at::Tensor& pixel_values) const {
  return gate_.forward(pixel_values).softmax(-1).index_select(1, at::tensor(weight_of_, at::kLong));
}

at::Tensor MixtureModality::features(const at::Tensor& pixel_values) const {
  const at::NoGradGuard no_grad;
  int64_t width = 0;
  for (const VisionConfig& expert : config().experts) width = std::max(width, expert.hidden_size);
  std::vector<at::Tensor> features;
  for (const auto& expert : experts_) {
    const at::Tensor tokens = expert->forward(pixel_values);
    features.push_back(at::constant_pad_nd(tokens, {0, width - tokens.size(-1)}));
  }
  return at::stack(features, 1);
}

at::Tensor MixtureModality::tokens_of(int64_t expert, const at::Tensor& pixel_values) {
  passes_.run += pixel_values.size(0);
  const at::Tensor tokens = experts_[static_cast<size_t>(expert)]->forward(pixel_values);
  return config().is_pep() ? projectors_[static_cast<size_t>(expert)]->forward(tokens) : tokens;
}

at::Tensor MixtureModality::tokens_of(const std::vector<int64_t>& experts, const at::Tensor& pixel_values) {
  std::vector<at::Tensor> tokens;
  for (const int64_t expert : experts) tokens.push_back(tokens_of(expert, pixel_values));
  return at::stack(tokens, 1);
}

at::Tensor MixtureModality::chosen_tokens(const at::Tensor& chosen, const at::Tensor& pixel_values) {
  const int64_t images = chosen.size(0), k = chosen.size(1);
  const auto* choices = chosen.const_data_ptr<int64_t>();
  // Expert after expert: the images that chose it. `order`: where the tokens of image n's j-th expert then lie.
  std::vector<at::Tensor> tokens;
  std::vector<int64_t> order(static_cast<size_t>(images * k));
  int64_t rows = 0;
  for (int64_t expert = 0; expert < num_experts(); ++expert) {
    std::vector<int64_t> its_images;
    for (int64_t i = 0; i < images * k; ++i) {
      if (choices[i] != expert) continue;
      order[static_cast<size_t>(i)] = rows++;
      its_images.push_back(i / k);
    }
    if (!its_images.empty()) tokens.push_back(tokens_of(expert, pixel_values.index_select(0, at::tensor(its_images, at::kLong))));
  }
  const at::Tensor all = at::cat(tokens).index_select(0, at::tensor(order, at::kLong));  // [N * k, P, W]
  return all.view({images, k, all.size(1), all.size(2)});
}

at::Tensor MixtureModality::cross_attention(const at::Tensor& pixel_values, std::optional<uint64_t> dropout_seed) {
  const ModalityConfig& c = config();
  // In the original a generalist given as a negative index stays among keys and values.
  const bool is_kept = c.is_original() && c.spec.generalist_idx < 0;
  std::vector<int64_t> specialists;
  for (int64_t e = 0; e < num_experts(); ++e)
    if (is_kept || e != c.generalist()) specialists.push_back(e);
  const int64_t k =
      std::min<int64_t>(c.runs_chosen_only() ? c.spec.top_k_experts : num_experts(), static_cast<int64_t>(specialists.size()));

  const at::Tensor queries = tokens_of(c.generalist(), pixel_values);
  const at::Tensor index = at::tensor(specialists, at::kLong);
  at::Tensor weights = gate_weights(pixel_values).index_select(1, index);  // [N, specialists]
  at::Tensor tokens;                                                       // [N, k, P, W]
  if (k < index.size(0)) {
    const at::Tensor chosen = largest(weights, k);
    weights = weights.gather(1, chosen);
    tokens = chosen_tokens(index.index_select(0, chosen.flatten()).view_as(chosen), pixel_values);
  } else if (is_kept) {
    std::vector<at::Tensor> each;
    for (const int64_t e : specialists) each.push_back(e == c.generalist() ? queries : tokens_of(e, pixel_values));
    tokens = at::stack(each, 1);
  } else {
    tokens = tokens_of(specialists, pixel_values);
  }
  // The gate's weights are a softmax already; it is taken a second time, over the specialists in use.
  const at::Tensor scaled = tokens * weights.softmax(-1).to(tokens.scalar_type()).unsqueeze(-1).unsqueeze(-1);
  std::optional<Dropout> dropout;
  if (dropout_seed && c.cross_attn_dropout() > 0) dropout.emplace(c.cross_attn_dropout(), *dropout_seed);
  return cross_attn_->forward(queries, scaled.flatten(1, 2), dropout);
}

at::Tensor MixtureModality::fuse(const at::Tensor& pixel_values) {
  const ModalityConfig& c = config();
  std::vector<int64_t> all(experts_.size());
  std::iota(all.begin(), all.end(), 0);
  const int64_t k = c.num_fused();
  if (c.spec.fusion_method == "sequence_append") {
    if (k == num_experts()) return tokens_of(all, pixel_values).flatten(1, 2);
    return chosen_tokens(largest(gate_weights(pixel_values), k), pixel_values).flatten(1, 2);  // [N, k * P, W]
  }
  at::Tensor weights = gate_weights(pixel_values);
  if (!c.runs_chosen_only()) return weighted_average(tokens_of(all, pixel_values), weights);
  const at::Tensor chosen = largest(weights, k);
  weights = weights.gather(1, chosen);
  return weighted_average(chosen_tokens(chosen, pixel_values), weights / weights.sum(1, true));
}

at::Tensor MixtureModality::embed(const at::Tensor& pixel_values, std::optional<uint64_t> dropout_seed) {
  passes_.all += pixel_values.size(0) * num_experts();
  const at::Tensor fused = cross_attn_ ? cross_attention(pixel_values, dropout_seed) : fuse(pixel_values);
  return config().is_pep() ? fused : projectors_.front()->forward(fused);
}

}  // namespace multimeditron
