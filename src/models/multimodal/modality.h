#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "models/graph.h"
#include "models/module.h"
#include "models/multimodal/modality_config.h"

namespace multimeditron {

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
  at::Tensor forward(const at::Tensor& pixel_values, Saved* saved);
  /// `grad`: [N, embeddings_per_image, hidden_size]. Adds to the trained parameters' gradients.
  void backward(const at::Tensor& grad, Saved& saved);

  /// What the encoder alone makes of images: [N, P, D].
  virtual at::Tensor features(const at::Tensor& pixel_values) const = 0;
  /// Draws what no file has: the projector.
  virtual void initialise(uint64_t seed) = 0;
  /// A tensor of the files, named as below `modalities_with_projection.k.`. What is never computed with but has its place in checkpoints
  /// is taken along.
  virtual void add_passenger(const std::string& name, std::vector<int64_t> shape) = 0;

 protected:
  /// The computation in ATen operations: where no trained parameter has come in yet, they record no graph.
  virtual at::Tensor embed(const at::Tensor& pixel_values) = 0;

 private:
  ModalityConfig config_;
};

std::unique_ptr<Modality> make_modality(const ModalityConfig& config);

}  // namespace multimeditron
