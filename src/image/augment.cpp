#include "image/augment.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace multimeditron {
namespace {

constexpr double kSmallestArea = 0.08, kWidestRatio = 4.0 / 3.0, kJitter = 0.2;
constexpr int kAttempts = 10;

/// The same numbers on every machine, unlike the standard library's distributions.
class Draw {
 public:
  explicit Draw(uint64_t seed) : engine_(seed) {}
  double uniform(double low, double high) { return low + (high - low) * (static_cast<double>(engine_() >> 11) * 0x1.0p-53); }
  /// In [0, count).
  int64_t index(int64_t count) { return std::min(static_cast<int64_t>(uniform(0, static_cast<double>(count))), count - 1); }

 private:
  std::mt19937_64 engine_;
};

/// Where ten draws do not fit: the largest part of an allowed ratio, from the middle.
Region middle_crop(int64_t width, int64_t height) {
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  Region region{0, 0, width, height};
  if (ratio < 1 / kWidestRatio) region.height = std::llround(static_cast<double>(width) * kWidestRatio);
  if (ratio > kWidestRatio) region.width = std::llround(static_cast<double>(height) * kWidestRatio);
  region.left = (width - region.width) / 2;
  region.top = (height - region.height) / 2;
  return region;
}

Region draw_crop(int64_t width, int64_t height, Draw& draw) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const double area = static_cast<double>(width * height) * draw.uniform(kSmallestArea, 1);
    const double ratio = std::exp(draw.uniform(-std::log(kWidestRatio), std::log(kWidestRatio)));
    const int64_t w = std::llround(std::sqrt(area * ratio)), h = std::llround(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t top = draw.index(height - h + 1);
    return {draw.index(width - w + 1), top, w, h};
  }
  return middle_crop(width, height);
}

RgbImage cut(const RgbImage& image, const Region& region) {
  if (region.width == image.width && region.height == image.height) return image;
  RgbImage part{.width = region.width, .height = region.height, .pixels = {}};
  part.pixels.reserve(static_cast<size_t>(3 * region.width * region.height));
  for (int64_t row = region.top; row < region.top + region.height; ++row) {
    const uint8_t* begin = image.pixels.data() + 3 * (row * image.width + region.left);
    part.pixels.insert(part.pixels.end(), begin, begin + 3 * region.width);
  }
  return part;
}

void flip(RgbImage& image) {
  for (int64_t row = 0; row < image.height; ++row) {
    uint8_t* pixels = image.pixels.data() + 3 * row * image.width;
    for (int64_t left = 0, right = image.width - 1; left < right; ++left, --right) {
      for (int64_t c = 0; c < 3; ++c) std::swap(pixels[3 * left + c], pixels[3 * right + c]);
    }
  }
}

/// Pillow's Image.blend: from `from` to `to`, in float32, cut off towards 0, and beyond `to` clipped.
uint8_t blend(uint8_t from, uint8_t to, float factor) {
  const float value = static_cast<float>(from) + factor * static_cast<float>(static_cast<int>(to) - static_cast<int>(from));
  return static_cast<uint8_t>(std::clamp(value, 0.0F, 255.0F));
}

/// Pillow's grey (ITU-R 601-2) in 16-bit fixed point.
uint8_t grey(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595U * rgb[0] + 38470U * rgb[1] + 7471U * rgb[2] + 0x8000U) >> 16);
}

void colour(RgbImage& image, Augmentation::Step step, float factor) {
  std::vector<uint8_t>& pixels = image.pixels;
  if (step == Augmentation::Step::kSaturation) {
    for (size_t i = 0; i < pixels.size(); i += 3) {
      const uint8_t from = grey(pixels.data() + i);
      for (size_t c = 0; c < 3; ++c) pixels[i + c] = blend(from, pixels[i + c], factor);
    }
    return;
  }
  uint8_t from = 0;
  if (step == Augmentation::Step::kContrast) {
    uint64_t sum = 0;
    for (size_t i = 0; i < pixels.size(); i += 3) sum += grey(pixels.data() + i);
    from = static_cast<uint8_t>(static_cast<double>(sum) / static_cast<double>(pixels.size() / 3) + 0.5);
  }
  std::array<uint8_t, 256> table;
  for (size_t value = 0; value < 256; ++value) table[value] = blend(from, static_cast<uint8_t>(value), factor);
  for (uint8_t& value : pixels) value = table[value];
}

/// Python's round(value / 2).
int64_t half_to_even(int64_t value) {
  return value / 2 + (value % 2 != 0 && value / 2 % 2 != 0 ? 1 : 0);
}

}  // namespace

Augmentation draw_augmentation(int64_t width, int64_t height, uint64_t seed) {
  Draw draw(seed);
  Augmentation result;
  result.crop = draw_crop(width, height, draw);
  result.is_flipped = draw.index(2) == 1;
  for (size_t i = result.order.size() - 1; i > 0; --i) std::swap(result.order[i], result.order[draw.index(static_cast<int64_t>(i) + 1)]);
  for (float& factor : result.factors) factor = static_cast<float>(draw.uniform(1 - kJitter, 1 + kJitter));
  return result;
}

RgbImage augment(const RgbImage& image, const Augmentation& augmentation, int64_t side) {
  RgbImage part = resize_region(cut(image, augmentation.crop), Resample::kBilinear, side, side, {0, 0, side, side});
  if (augmentation.is_flipped) flip(part);
  for (const Augmentation::Step step : augmentation.order) colour(part, step, augmentation.factors[static_cast<size_t>(step)]);
  return part;
}

RgbImage resize_and_crop(const RgbImage& image, int64_t edge, int64_t side) {
  const int64_t short_edge = std::min(image.width, image.height), long_edge = std::max(image.width, image.height);
  const int64_t longer = edge * long_edge / short_edge;
  const int64_t width = image.width <= image.height ? edge : longer, height = image.width <= image.height ? longer : edge;
  return resize_region(image, Resample::kBilinear, width, height, {half_to_even(width - side), half_to_even(height - side), side, side});
}

std::vector<float> normalise(const RgbImage& image, const std::array<double, 3>& mean, const std::array<double, 3>& std) {
  const auto count = static_cast<size_t>(image.width * image.height);
  std::vector<float> values(3 * count);
  for (size_t c = 0; c < 3; ++c) {
    std::array<float, 256> table;
    for (size_t value = 0; value < 256; ++value)
      table[value] = (static_cast<float>(value) / 255.0F - static_cast<float>(mean[c])) / static_cast<float>(std[c]);
    for (size_t i = 0; i < count; ++i) values[c * count + i] = table[image.pixels[3 * i + c]];
  }
  return values;
}

}  // namespace multimeditron
