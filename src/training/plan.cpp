#include "training/plan.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "tracking/progress.h"

namespace multimeditron {

ModelSize measure(MultimodalModel& model) {
  ModelSize size;
  model.visit("", [&](const std::string& name, const Parameter& parameter) {
    if (parameter.role != Role::kLearnt || component_of(name) == "unused") return;
    size.parameters += parameter.numel();
    if (parameter.is_trained) size.trainable += parameter.numel();
  });
  return size;
}

std::vector<std::pair<std::string, std::string>> describe(const Recipe& recipe, const MultimodalModel& model, const ModelSize& size) {
  std::string name = fmt::format("{}, {} parameters", model.config().llm.model_type, format_parameters(size.parameters));
  for (const ModalityConfig& modality : model.config().modalities) {
    name += fmt::format(", {} (", modality.spec.model_type);
    if (modality.spec.is_mixture()) name += fmt::format("{} experts, {}, ", modality.num_experts(), modality.spec.fusion_method);
    name += fmt::format("{} embeddings an image)", modality.embeddings_per_image());
  }
  return {{"model", name},
          {"trained", fmt::format("{}: {} parameters, {:.1f} %", to_string(recipe.training_mode), format_parameters(size.trainable),
                                  100.0 * static_cast<double>(size.trainable) / static_cast<double>(size.parameters))},
          {"precision", recipe.training_args.bf16 ? "bf16, float32 masters and moments" : "fp32"}};
}

std::vector<std::pair<std::string, std::string>> expert_table(const MultimodalModel& model) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const ModalityConfig& modality : model.config().modalities) {
    for (int64_t e = 0; e < modality.num_experts(); ++e) {
      const auto index = static_cast<size_t>(e);
      const int64_t gate_class = modality.class_of[index];
      std::string text = fmt::format("{}, class {} of the gate", modality.spec.expert_clip_names[index], gate_class);
      if (!modality.gate.class_names.empty()) text += fmt::format(" ({})", modality.gate.class_names[static_cast<size_t>(gate_class)]);
      if (modality.spec.fusion_method == "cross_attn" && e == modality.generalist()) text += ", the generalist";
      rows.emplace_back(fmt::format("expert {}", e), std::move(text));
    }
  }
  return rows;
}

std::vector<std::pair<std::string, std::string>> component_table(const Recipe& recipe, MultimodalModel& model) {
  std::map<std::string, int64_t> sizes;
  std::set<std::string> is_trained;
  int64_t total = 0, trainable = 0, idle_in_towers = 0;
  model.visit("", [&](const std::string& parameter, Parameter& value) {
    if (value.role != Role::kLearnt) return;  // a buffer
    // A tower's last norm counts with it, though CLIP's patch features are taken before it.
    const bool is_idle = parameter.find(".post_layernorm.") != std::string::npos;
    sizes[is_idle ? "vision" : component_of(parameter)] += value.numel();
    if (is_idle) idle_in_towers += value.numel();
    total += value.numel();
    if (model.trains_parameter(recipe.training_mode, parameter)) {
      trainable += value.numel();
      is_trained.insert(component_of(parameter));
    }
  });
  std::vector<std::pair<std::string, std::string>> rows{{"mode", to_string(recipe.training_mode)}};
  for (const char* component : {"llm", "vision", "gate", "projector", "unused"}) {
    const auto size = sizes.find(component);
    if (size == sizes.end()) continue;
    double learning_rate = recipe.training_args.learning_rate;
    if (size->first == "projector") learning_rate = recipe.custom_lr.projector.value_or(learning_rate);
    if (size->first == "vision" || size->first == "gate") learning_rate = recipe.custom_lr.vision.value_or(learning_rate);
    const std::string state = is_trained.contains(component) ? fmt::format("trained, learning rate {:g}", learning_rate) : "frozen";
    std::string text = fmt::format("{} parameters, {}, {}", format_count(size->second), recipe.training_args.bf16 ? "bf16" : "fp32", state);
    if (size->first == "vision" && idle_in_towers > 0) text += fmt::format(" ({} of them are not used)", format_count(idle_in_towers));
    rows.emplace_back(component, std::move(text));
  }
  rows.emplace_back("in all", fmt::format("{} parameters, {} trained ({:.1f} %)", format_count(total), format_count(trainable),
                                          100.0 * static_cast<double>(trainable) / static_cast<double>(total)));
  return rows;
}

}  // namespace multimeditron
