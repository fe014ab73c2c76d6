#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace multimeditron {

/// Conversions to 8-bit RGB that several formats share, each as Pillow's convert("RGB") does it.

/// [count] grey values -> [count, 3].
inline void grey_to_rgb(const uint8_t* grey, int64_t count, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i) std::memset(rgb + 3 * i, grey[i], 3);
}

/// 256 colours; those that a file does not define are black.
using Palette = std::array<std::array<uint8_t, 3>, 256>;

/// Are the first `count` colours nothing but their own indices?
inline bool is_grey(const Palette& palette, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    for (const uint8_t channel : palette[i]) {
      if (channel != i) return false;
    }
  }
  return true;
}

/// Pillow takes the values of an image with such a palette, or with none, as grey, also those behind its end.
inline void fill_grey(Palette& palette, size_t count) {
  if (!is_grey(palette, count)) return;
  for (size_t i = 0; i < 256; ++i) palette[i].fill(static_cast<uint8_t>(i));
}

/// [count] indices -> [count, 3].
inline void palette_to_rgb(const uint8_t* indices, int64_t count, const Palette& palette, uint8_t* rgb) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(rgb + 3 * i, palette[indices[i]].data(), 3);
}

/// [count, 4] -> [count, 3]. `is_inverted`: 255 stands for no ink, as in the JPEGs that Adobe writes.
inline void cmyk_to_rgb(const uint8_t* cmyk, int64_t count, bool is_inverted, uint8_t* rgb) {
  const uint8_t flip = is_inverted ? 255 : 0;
  for (int64_t i = 0; i < count; ++i, cmyk += 4, rgb += 3) {
    const int not_black = 255 - (cmyk[3] ^ flip);
    for (int c = 0; c < 3; ++c) {
      const int product = (cmyk[c] ^ flip) * not_black + 128;
      rgb[c] = static_cast<uint8_t>(std::max(0, not_black - (((product >> 8) + product) >> 8)));
    }
  }
}

/// 16-bit grey in 8 bits: the high byte, or what is above 255 made 255.
inline uint8_t sixteen_to_eight(uint32_t value, bool clips) {
  return static_cast<uint8_t>(clips ? std::min<uint32_t>(value, 255) : value >> 8);
}

/// Pillow's F to L: what lies outside of 0 to 255 clipped, the fraction cut off.
inline uint8_t float_to_eight(float value) {
  return static_cast<uint8_t>(value > 0 ? std::min(value, 255.0f) : 0.0f);
}

}  // namespace multimeditron
