#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/multimodal/fusion.h"
#include "models/multimodal/modality.h"
#include "models/multimodal/projector.h"
#include "models/vision/gating_network.h"

namespace multimeditron {

/// `moe_meditron_clip` and `moe_meditron_clip_pep`: experts whose tokens a gating network weighs. With `pep` each expert has a projector
/// and fusion happens in the language model's width, else one projector follows fusion in the experts' width. Names: experts.E.* (the
/// vision towers alone), gating_network.resnet.*, projector.* or projectors.E.*, cross_attn.*. docs/mixtures.md has the formulas.
class MixtureModality : public Modality {
 public:
  explicit MixtureModality(const ModalityConfig& config);

  /// Every expert's tokens before projection and fusion: [N, E, P, D], narrower experts filled up with zeros.
  at::Tensor features(const at::Tensor& pixel_values) const override;
  /// The gate's weight of each expert: float32 [N, E].
  at::Tensor gate_weights(const at::Tensor& pixel_values) const;
  void initialise(uint64_t seed) override;
  void add_passenger(const std::string&, std::vector<int64_t>) override {}
  ExpertPasses expert_passes() const override { return passes_; }

 protected:
  at::Tensor embed(const at::Tensor& pixel_values, std::optional<uint64_t> dropout_seed) override;

 private:
  at::Tensor fuse(const at::Tensor& pixel_values);
  at::Tensor cross_attention(const at::Tensor& pixel_values, std::optional<uint64_t> dropout_seed);
  /// Tokens of one expert in the width that fusion happens in: [N, P, W].
  at::Tensor tokens_of(int64_t expert, const at::Tensor& pixel_values);
  /// Tokens of the same experts for all images: [N, experts.size(), P, W].
  at::Tensor tokens_of(const std::vector<int64_t>& experts, const at::Tensor& pixel_values);
  /// Tokens of the experts that each image has `chosen` ([N, k], ascending): [N, k, P, W]. An expert runs on the images that chose it.
  at::Tensor chosen_tokens(const at::Tensor& chosen, const at::Tensor& pixel_values);

  int64_t num_experts() const { return static_cast<int64_t>(experts_.size()); }

  std::vector<std::unique_ptr<VisionTower>> experts_;
  GatingNetwork gate_;
  std::vector<std::unique_ptr<Projector>> projectors_;  // one, or one an expert
  std::unique_ptr<CrossAttention> cross_attn_;
  std::vector<int64_t> weight_of_;  // the gate's class whose weight an expert gets
  ExpertPasses passes_;
};

}  // namespace multimeditron
