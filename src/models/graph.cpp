#include "models/graph.h"

#include <torch/csrc/autograd/autograd.h>

namespace multimeditron {

GraphLeaves::GraphLeaves(Module& part) {
  part.visit("", [&](const std::string&, Parameter& parameter) {
    if (!parameter.is_trained) return;
    parameters_.push_back(&parameter);
    leaves_.push_back(parameter.data.detach().requires_grad_(true));
  });
}

void GraphLeaves::swap() {
  for (size_t i = 0; i < parameters_.size(); ++i) std::swap(parameters_[i]->data, leaves_[i]);
}

void GraphLeaves::backward(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& grads) {
  if (empty()) return;
  // A parameter that the outputs do not depend on has no gradient.
  const auto gradients = torch::autograd::grad(outputs, leaves_, grads, std::nullopt, false, /*allow_unused=*/true);
  for (size_t i = 0; i < gradients.size(); ++i) {
    ensure_gradient(*parameters_[i]->bucket);
    if (gradients[i].defined()) parameters_[i]->grad.add_(gradients[i]);
  }
}

}  // namespace multimeditron
