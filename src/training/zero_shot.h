#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "base/json.h"
#include "data/labelled_images.h"
#include "data/pairs.h"
#include "models/vision/clip_model.h"
#include "recipe/expert_recipe.h"
#include "training/classification.h"

namespace multimeditron {

inline constexpr const char* kZeroShotFile = "zero_shot.json";

/// Classifies images by words alone (arXiv:2103.00020, 3.1): each image belongs to the class whose text is the most similar, a class's text
/// being the mean of its templates' embeddings.
class ZeroShot {
 public:
  explicit ZeroShot(const ExpertRecipe& recipe) : recipe_(recipe) {}

  /// Opens the classes' data sets. Throws UserError.
  void open(const ImageProcessor& processor);
  /// What was asked, as it stands in zero_shot.json: `classes`, `templates`, `class_map`.
  Json asked() const;
  /// Bad images are left out.
  Classification classify(const ClipModel& model, const Tokenizer& tokenizer, const CaptionRule& rule,
                          const TrainingArguments& arguments) const;
  /// [classes, projection_dim], unit vectors.
  at::Tensor class_embeddings(const ClipModel& model, const Tokenizer& tokenizer, const CaptionRule& rule, int64_t batch_size) const;

 private:
  const ExpertRecipe& recipe_;
  std::unique_ptr<LabelledImages> images_;
};

}  // namespace multimeditron
