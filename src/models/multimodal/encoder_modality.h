#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/multimodal/modality.h"
#include "models/multimodal/projector.h"

namespace multimeditron {

/// `meditron_clip`, `meditron_biomedclip`: a vision tower and its projector. Names: feature_extractor.vision_model.* or
/// feature_extractor.visual.trunk.*, projector.projection.*; the text tower and the other tensors of the whole model travel along
/// untouched.
class EncoderModality : public Modality {
 public:
  explicit EncoderModality(const ModalityConfig& config);

  at::Tensor features(const at::Tensor& pixel_values) const override;
  void initialise(uint64_t seed) override { projector_.initialise(seed); }
  void add_passenger(const std::string& name, std::vector<int64_t> shape) override;

 protected:
  at::Tensor embed(const at::Tensor& pixel_values, std::optional<uint64_t> dropout_seed) override;

 private:
  struct Passengers : Module {
    void add(const std::string& name, std::vector<int64_t> shape);
  };

  std::unique_ptr<VisionTower> vision_;
  Projector projector_;
  Passengers passengers_;
};

}  // namespace multimeditron
