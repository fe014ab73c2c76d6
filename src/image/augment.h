#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "image/image.h"

namespace multimeditron {

/// One draw of the transform that image classifiers are trained with, as torchvision's RandomResizedCrop, RandomHorizontalFlip and
/// ColorJitter(0.2, 0.2, 0.2).
struct Augmentation {
  enum class Step { kBrightness, kContrast, kSaturation };

  Region crop;  ///< of the image as it is
  bool is_flipped = false;
  std::array<Step, 3> order{Step::kBrightness, Step::kContrast, Step::kSaturation};
  std::array<float, 3> factors{1, 1, 1};  ///< by Step
};

/// A function of the image's size and `seed` alone: a crop of 8 to 100 % of the area, sides 3:4 to 4:3, everywhere; factors of 0.8 to 1.2.
Augmentation draw_augmentation(int64_t width, int64_t height, uint64_t seed);

/// The crop resized to `side` x `side` (bilinear with antialias), flipped and coloured as Pillow does it on 8 bit.
RgbImage augment(const RgbImage& image, const Augmentation& augmentation, int64_t side);

/// The transform for measuring: the shorter edge to `edge` (bilinear with antialias), then a crop of `side` from the middle, as
/// torchvision's Resize and CenterCrop. `side` is at most `edge`.
RgbImage resize_and_crop(const RgbImage& image, int64_t edge, int64_t side);

/// (pixel / 255 - mean) / std: float32 [3, height, width].
std::vector<float> normalise(const RgbImage& image, const std::array<double, 3>& mean, const std::array<double, 3>& std);

}  // namespace multimeditron
