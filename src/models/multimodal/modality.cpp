#include "models/multimodal/modality.h"

#include <ATen/core/grad_mode.h>

#include "models/multimodal/encoder_modality.h"

namespace multimeditron {

at::Tensor Modality::forward(const at::Tensor& pixel_values, Saved* saved) {
  if (saved == nullptr) {
    const at::NoGradGuard no_grad;
    return embed(pixel_values);
  }
  saved->leaves = GraphLeaves(*this);
  const GraphLeaves::Scope scope(saved->leaves);
  const at::AutoGradMode mode(true);
  saved->output = embed(pixel_values);
  return saved->output.detach();
}

void Modality::backward(const at::Tensor& grad, Saved& saved) {
  saved.leaves.backward({saved.output}, {grad});
  saved = {};
}

std::unique_ptr<Modality> make_modality(const ModalityConfig& config) {
  return std::make_unique<EncoderModality>(config);
}

}  // namespace multimeditron
