#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "image/processor.h"
#include "models/graph.h"
#include "models/module.h"
#include "models/vision/clip.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// MLP between encoder width D and the LLM's width H: Linear(D, D) GELU Linear(D, H) GELU Linear(H, H), with biases and exact GELU.
class Projector : public Module {
 public:
  Projector(int64_t input_size, int64_t hidden_size);
  /// [..., D] -> [..., H]
  at::Tensor forward(const at::Tensor& features) const;
  /// N(0, 0.02) weights, zero biases.
  void initialise(uint64_t seed);

 private:
  Parameter* weights_[3];
  Parameter* biases_[3];
};

/// What a modality is made of: the recipe's entry (or the checkpoint's), the encoder's configuration, its image processor.
struct ModalityConfig {
  ModalitySpec spec;
  ClipVisionConfig clip;
  ImageProcessor processor;
};

/// `meditron_clip`: a CLIP vision tower and its projector. Names: feature_extractor.vision_model.*, projector.projection.*; the text tower
/// and the other tensors of a CLIPModel travel along untouched.
class ClipModality : public Module {
 public:
  explicit ClipModality(const ModalityConfig& config);

  const ModalityConfig& config() const { return config_; }
  int64_t embeddings_per_image() const { return config_.clip.num_patches(); }
  ClipVisionTower& vision() { return *vision_; }
  Projector& projector() { return projector_; }
  /// A tensor of the CLIPModel that is not computed with; `name` as below `feature_extractor.`.
  void add_passenger(const std::string& name, std::vector<int64_t> shape);

  /// What backward() needs.
  struct Saved {
    at::Tensor output;
    GraphLeaves leaves;
  };
  /// `pixel_values`: [N, 3, image_size, image_size] float32 -> [N, P, hidden_size]. `saved` null: no gradient. A frozen tower runs without
  /// a graph.
  at::Tensor forward(const at::Tensor& pixel_values, Saved* saved);
  /// `grad`: [N, P, hidden_size]. Adds to the trained parameters' gradients.
  void backward(const at::Tensor& grad, Saved& saved);
  /// The encoder alone: [N, P, D].
  at::Tensor features(const at::Tensor& pixel_values) const;

 private:
  struct Passengers : Module {
    void add(const std::string& name, std::vector<int64_t> shape);
  };

  ModalityConfig config_;
  std::unique_ptr<ClipVisionTower> vision_;
  Projector projector_;
  Passengers passengers_;
};

}  // namespace multimeditron
