#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/vision/clip.h"
#include "models/vision/clip_text.h"

namespace multimeditron {

/// A whole CLIP (arXiv:2103.00020): both towers, their projections into one space, and the learnt temperature, under the names of
/// transformers' `CLIPModel`.
class ClipModel : public Module {
 public:
  /// `config`: a CLIPModel's config.json. Throws UserError naming `where` and the key.
  ClipModel(const Json& config, const std::string& where);

  const Json& config() const { return vision_.config().json; }
  const ClipVisionTower& vision() const { return vision_; }
  const ClipTextTower& text() const { return text_; }
  std::vector<std::unique_ptr<Bucket>>& buckets() { return buckets_; }
  at::ScalarType dtype() const { return dtype_; }

  /// Unit vectors in the common space, float32: [N, 3, image_size, image_size] -> [N, projection_dim], and `input_ids`, `ends` as
  /// ClipTextTower::pooled takes them -> [N, projection_dim].
  at::Tensor embed_images(const at::Tensor& pixel_values) const;
  at::Tensor embed_texts(const at::Tensor& input_ids, const at::Tensor& ends) const;
  /// The logarithm of the factor before the softmax: the learnt temperature.
  Parameter& logit_scale() { return *logit_scale_; }
  const Parameter& logit_scale() const { return *logit_scale_; }

  /// Memory for all parameters, to be called once: float32 for now, the optimizer's masters, which converts it to `dtype`.
  void allocate(at::ScalarType dtype);
  /// Draws all parameters: as transformers' CLIPModel does, but for the vision tower's patches and positions (docs/experts.md).
  void initialise(uint64_t seed);
  /// Copies the tensors of `folder` (checkpoint/weights.h). Throws UserError for what is missing, truncated or misshapen.
  void load(const std::filesystem::path& folder);
  /// Writes config.json and model.safetensors.
  void save(const std::filesystem::path& folder) const;
  void set_trained(at::ScalarType grad_dtype);

 private:
  ClipVisionTower vision_;
  ClipTextTower text_;
  struct Projection : Module {
    Projection(int64_t out, int64_t in) { weight = &register_parameter("weight", {out, in}); }
    Parameter* weight;
  };
  Projection visual_projection_, text_projection_;
  Parameter* logit_scale_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  at::ScalarType dtype_ = at::kFloat;
};

/// CLIP's loss: the mean of the cross entropies of each image among the texts and of each text among the images. `images`, `texts`:
/// [N, projection_dim] unit vectors, row i of both is a pair; `scale`: [].
at::Tensor contrastive_loss(const at::Tensor& images, const at::Tensor& texts, const at::Tensor& scale);

}  // namespace multimeditron
