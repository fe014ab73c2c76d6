#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/graph.h"
#include "models/module.h"
#include "models/multimodal/modality_config.h"

namespace multimeditron {

/// Images that went through an expert, counted for each expert: how many of all.
struct ExpertPasses {
  int64_t run = 0, all = 0;
};

/// What turns images into embeddings of the language model's width: one encoder with its projector, or a mixture of them.
class Modality : public Module {
 public:
  explicit Modality(const ModalityConfig& config) : config_(config) {}

  const ModalityConfig& config() const { return config_; }

  /// What backward() needs.
  struct Saved {
    at::Tensor output;
    GraphLeaves leaves;
  };
  /// `pixel_values`: [N, 3, image_size, image_size] float32 -> [N, embeddings_per_image, hidden_size]. `saved` null: no gradient.
  /// `dropout_seed`: given while training; the same seed drops the same.
  at::Tensor forward(const at::Tensor& pixel_values, Saved* saved, std::optional<uint64_t> dropout_seed = std::nullopt);
  /// `grad`: [N, embeddings_per_image, hidden_size]. Adds to the trained parameters' gradients.
  void backward(const at::Tensor& grad, Saved& saved);

  /// What encoders alone make of images: [N, P, D], of a mixture [N, experts, P, D].
  virtual at::Tensor features(const at::Tensor& pixel_values) const = 0;
  /// Draws what no file has: projectors and cross attention.
  virtual void initialise(uint64_t seed) = 0;
  /// A tensor of the files, named as below `modalities_with_projection.k.`. What is never computed with but has its place in checkpoints
  /// is taken along.
  virtual void add_passenger(const std::string& name, std::vector<int64_t> shape) = 0;
  /// What mixtures have spared so far.
  virtual ExpertPasses expert_passes() const { return {}; }

 protected:
  /// The computation in ATen operations: where no trained parameter has come in yet, they record no graph.
  virtual at::Tensor embed(const at::Tensor& pixel_values, std::optional<uint64_t> dropout_seed) = 0;

 private:
  ModalityConfig config_;
};

std::unique_ptr<Modality> make_modality(const ModalityConfig& config);

}  // namespace multimeditron
