#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <string>

#include "image/image.h"

namespace multimeditron::testing {

/// A made-up picture: some soft blobs on a ground, another one for each seed.
inline RgbImage picture(uint64_t seed, int64_t width = 96, int64_t height = 80) {
  std::mt19937_64 random(seed);
  const auto draw = [&](double low, double high) { return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53; };
  RgbImage image{.width = width, .height = height, .pixels = std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  struct Blob {
    double x, y, radius, light;
  };
  std::vector<Blob> blobs;
  for (int i = 0; i < 8; ++i) blobs.push_back({draw(0, 1), draw(0, 1), draw(0.05, 0.3), draw(-90, 90)});
  const double ground = draw(70, 150);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      double value = ground;
      for (const Blob& blob : blobs) {
        const double dx = (static_cast<double>(x) + 0.5) / static_cast<double>(width) - blob.x,
                     dy = (static_cast<double>(y) + 0.5) / static_cast<double>(height) - blob.y;
        value += blob.light * std::exp(-(dx * dx + dy * dy) / (blob.radius * blob.radius));
      }
      for (int c = 0; c < 3; ++c)
        image.pixels[static_cast<size_t>(3 * (y * width + x) + c)] = static_cast<uint8_t>(std::clamp(value + 4 * c, 0.0, 255.0));
    }
  }
  return image;
}

inline RgbImage flat_picture(uint8_t value, int64_t width, int64_t height) {
  return {.width = width, .height = height, .pixels = std::vector<uint8_t>(static_cast<size_t>(3 * width * height), value)};
}

inline RgbImage brighter(RgbImage image, double factor, double offset) {
  for (uint8_t& value : image.pixels) value = static_cast<uint8_t>(std::clamp(factor * value + offset, 0.0, 255.0));
  return image;
}

inline RgbImage decoded(const std::string& bytes) {
  return decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

/// What other programs do to an image between a training and a test set.
struct Change {
  const char* name;
  RgbImage (*apply)(const RgbImage&);
};
inline constexpr Change kChanges[] = {
    {"JPEG of quality 90", [](const RgbImage& image) { return decoded(encode_jpeg(image, 90)); }},
    {"JPEG of quality 30", [](const RgbImage& image) { return decoded(encode_jpeg(image, 30)); }},
    {"half as large", [](const RgbImage& image) { return resize_bicubic(image, image.width / 2, image.height / 2); }},
    {"larger, another shape", [](const RgbImage& image) { return resize_bicubic(image, image.width * 2, image.height * 2 + 7); }},
    {"brighter", [](const RgbImage& image) { return brighter(image, 1.0, 12); }},
    {"darker, less contrast", [](const RgbImage& image) { return brighter(image, 0.85, 5); }},
    {"smaller, brighter, JPEG",
     [](const RgbImage& image) {
       return decoded(encode_jpeg(brighter(resize_bicubic(image, image.width * 3 / 4, image.height * 3 / 4), 1.05, 4), 60));
     }},
};

}  // namespace multimeditron::testing
