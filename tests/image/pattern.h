#pragma once

#include "image/image.h"

namespace multimeditron {

/// The image that tests/reference/image_goldens.py calls pattern(): hard edges and all values.
inline RgbImage pattern(int64_t width, int64_t height) {
  RgbImage image{width, height, {}};
  uint64_t state = 12345;
  for (int64_t i = 0; i < width * height * 3; ++i) {
    state = (state * 1103515245 + 12345) % (1ull << 31);
    const uint64_t value = (i / 60) % 2 != 0 ? 255 * ((state >> 16) & 1) : (state >> 16) & 255;
    image.pixels.push_back(static_cast<uint8_t>(value));
  }
  return image;
}

}  // namespace multimeditron
