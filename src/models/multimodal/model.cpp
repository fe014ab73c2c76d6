#include "models/multimodal/model.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace multimeditron {
namespace {

at::Tensor index_tensor(const std::vector<int64_t>& indices) {
  return at::from_blob(const_cast<int64_t*>(indices.data()), {static_cast<int64_t>(indices.size())}, at::kLong);
}

}  // namespace

std::string component_of(const std::string& name) {
  const std::string path = name + ".";
  if (path.starts_with("model.")) return "llm";
  const auto has = [&](const char* part) { return path.find(part) != std::string::npos; };
  if (has(".projector.") || has(".projectors.") || has(".cross_attn.")) return "projector";
  if (has(".gating_network.")) return "gate";
  if ((has(".vision_model.") || has(".visual.trunk.") || has(".experts.")) && !has(".post_layernorm.")) return "vision";
  return "unused";
}

bool trains(TrainingMode mode, const std::string& component) {
  if (component == "llm") return mode != TrainingMode::kAlignment;
  if (component == "projector") return mode != TrainingMode::kLmOnly;
  return (component == "vision" || component == "gate") && mode == TrainingMode::kFull;
}

MultimodalModel::MultimodalModel(ModelConfig config) : config_(std::move(config)), llm_(config_.llm) {
  register_module("model", llm_);
  for (size_t k = 0; k < config_.modalities.size(); ++k) {
    modalities_.push_back(make_modality(config_.modalities[k]));
    register_module("modalities_with_projection." + std::to_string(k), *modalities_.back());
  }
}

std::vector<Parameter*> MultimodalModel::parameters() {
  std::vector<Parameter*> parameters;
  visit("", [&](const std::string&, Parameter& parameter) { parameters.push_back(&parameter); });
  return parameters;
}

void MultimodalModel::allocate(at::ScalarType dtype, const std::function<bool(const Bucket&)>& in_float) {
  dtype_ = dtype;
  buckets_ = make_buckets("", "model");
  for (auto& bucket : buckets_) {
    multimeditron::allocate(*bucket, in_float && in_float(*bucket) ? at::kFloat : dtype);
  }
}

void MultimodalModel::set_training_mode(TrainingMode mode, at::ScalarType grad_dtype) {
  for (auto& bucket : buckets_) set_trained(*bucket, trains_parameter(mode, bucket->name), grad_dtype);
}

bool MultimodalModel::trains_parameter(TrainingMode mode, const std::string& name) const {
  const std::string component = component_of(name);
  const auto appends = [](const ModalityConfig& modality) { return modality.spec.fusion_method == "sequence_append"; };
  if (component == "gate" && std::any_of(config_.modalities.begin(), config_.modalities.end(), appends)) return false;
  return trains(mode, component);
}

at::Tensor MultimodalModel::embed(const MicroBatch& batch, Modality::Saved* saved) {
  at::Tensor embeddings = llm_.embed(batch.input_ids);
  if (batch.placeholders.empty()) return embeddings;
  const at::Tensor projected = modalities_.front()->forward(batch.pixel_values, saved, batch.dropout_seed);  // [U, P, hidden_size]
  const at::Tensor images = projected.index_select(0, index_tensor(batch.image_of)).flatten(0, 1);
  return embeddings.index_copy_(0, index_tensor(batch.placeholders), images);
}

MultimodalModel::Loss MultimodalModel::evaluate(const MicroBatch& batch) {
  if (batch.targets.empty()) return {};
  const at::Tensor hidden = llm_.forward_layers(embed(batch, nullptr), batch.layout, nullptr, false);
  const auto result = llm_.head_loss(hidden.index_select(0, index_tensor(batch.label_rows)), batch.targets, 0);
  return {.sum = result.loss_sum, .num_labels = batch.num_labels()};
}

MultimodalModel::Loss MultimodalModel::forward_backward(const MicroBatch& batch, double scale, bool gradient_checkpointing) {
  if (batch.targets.empty()) return {};
  const at::Tensor label_rows = index_tensor(batch.label_rows);
  Modality::Saved modality_saved;
  CausalLm::Saved saved;

  const at::Tensor embeddings = embed(batch, &modality_saved);
  const at::Tensor hidden = llm_.forward_layers(embeddings, batch.layout, &saved, gradient_checkpointing);
  const auto head = llm_.head_loss(hidden.index_select(0, label_rows), batch.targets, scale);
  const Loss loss{.sum = head.loss_sum, .num_labels = batch.num_labels()};

  const bool llm_trained = llm_.embed_tokens().is_trained;
  if (!llm_trained && modality_saved.leaves.empty()) return loss;  // nothing below the head is trained in this micro-batch
  at::Tensor grad = at::zeros_like(hidden).index_copy_(0, label_rows, head.grad_rows);
  grad = llm_.backward_layers(grad, batch.layout, saved);
  llm_.embed_backward(batch.input_ids, grad, batch.placeholders);
  if (!modality_saved.leaves.empty()) {
    const at::Tensor grad_images = grad.index_select(0, index_tensor(batch.placeholders))
                                       .view({static_cast<int64_t>(batch.image_of.size()), embeddings_per_image(), -1});
    const at::Tensor grad_projected = at::zeros_like(modality_saved.output).index_add_(0, index_tensor(batch.image_of), grad_images);
    modalities_.front()->backward(grad_projected, modality_saved);
  }
  return loss;
}

}  // namespace multimeditron
