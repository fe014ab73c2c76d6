#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/labelled_images.h"
#include "image/processor.h"
#include "recipe/gate_recipe.h"

namespace multimeditron {

/// The images of a gate's recipe and which of them are for what. A function of recipe and data alone.
struct GateData {
  ImageProcessor processor;  ///< with the mean and std that the gate is trained on: goes into its folder
  int64_t edge = 0, side = 0;
  std::unique_ptr<LabelledImages> images, test_images;  ///< `test_images` null: the test draw is a part of `images`
  std::vector<int64_t> train, validation, test;         ///< rows

  const LabelledImages& tested() const { return test_images ? *test_images : *images; }
  std::string fingerprint() const;
};

/// What the gate's pixels are normalised with: the image processor's mean and std, or ImageNet's, written as torchvision's weights want it.
/// Throws UserError: pixels that are not square.
ImageProcessor gate_processor(const GateRecipe& recipe);

/// Opens the data sets and draws. Throws UserError: a data set that is missing, a class that has no image to train on, an image processor
/// of pixels that are not square.
GateData open_gate_data(const GateRecipe& recipe);

}  // namespace multimeditron
