#include "models/multimodal/modality.h"

#include <ATen/core/grad_mode.h>

#include "models/multimodal/encoder_modality.h"
#include "models/multimodal/mixture_modality.h"

namespace multimeditron {

at::Tensor Modality::forward(const at::Tensor& pixel_values, Saved* saved, std::optional<uint64_t> dropout_seed) {
  if (saved == nullptr) {
    const at::NoGradGuard no_grad;
    return embed(pixel_values, dropout_seed);
  }
  saved->leaves = GraphLeaves(*this);
  const GraphLeaves::Scope scope(saved->leaves);
  const at::AutoGradMode mode(true);
  saved->output = embed(pixel_values, dropout_seed);
  return saved->output.detach();
}

void Modality::backward(const at::Tensor& grad, Saved& saved) {
  saved.leaves.backward({saved.output}, {grad});
  saved = {};
}

std::unique_ptr<Modality> make_modality(const ModalityConfig& config) {
  if (config.spec.is_mixture()) return std::make_unique<MixtureModality>(config);
  return std::make_unique<EncoderModality>(config);
}

}  // namespace multimeditron
