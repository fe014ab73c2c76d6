#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace multimeditron {

/// 8-bit RGB, rows top to bottom, 3 bytes a pixel: what PIL's `Image.open(...).convert("RGB")` gives.
struct RgbImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> pixels;  ///< [height, width, 3]
};

/// Decodes by content (JPEG, PNG), not by name. Throws UserError whose message names the kind of fault: unidentified, truncated, corrupt,
/// too large (more than 178,956,970 pixels, refused before memory is taken).
RgbImage decode_image(std::span<const std::byte> bytes);

/// An 8-bit RGB PNG of `image`, for the demo's data set and for reports.
std::string encode_png(const RgbImage& image);

/// PIL's bicubic resize with antialias (a = -0.5): two passes, horizontal first, each rounded to 8 bit; bit-equal to Pillow.
RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height);

}  // namespace multimeditron
