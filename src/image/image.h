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
  /// The file held 16-bit grey, of which the high byte was taken (Pillow would clip at 255, which turns radiographs white).
  bool is_from_sixteen_bit_grey = false;
};

/// Pillow's limit (twice its MAX_IMAGE_PIXELS): more pixels in a header are refused before memory is taken.
inline constexpr int64_t kMaxImagePixels = 178'956'970;

/// How a loader wants its files decoded; the defaults are what the Python original does.
struct DecodeOptions {
  int64_t max_pixels = kMaxImagePixels;
};

/// Decodes by content (JPEG, PNG), not by name. Throws UserError whose message names the kind of fault: unidentified, truncated, corrupt,
/// too large.
RgbImage decode_image(std::span<const std::byte> bytes, const DecodeOptions& options = {});

/// An 8-bit RGB PNG of `image`, for the demo's data set and for reports.
std::string encode_png(const RgbImage& image);

/// A baseline JPEG of `image`, `quality` 1 to 100 as libjpeg counts it, chroma at half resolution (4:2:0), without metadata; one component
/// where the image has no colour. Decodes to the pixels that Pillow's save(quality=...) gives. Throws UserError past 65,500 pixels a side.
std::string encode_jpeg(const RgbImage& image, int quality);

/// PIL's bicubic resize with antialias (a = -0.5): two passes, each rounded to 8 bit. Bit-equal to Pillow 13: horizontal first, but
/// vertical first where the height shrinks by more than twice what the width does (Pillow up to 12 always began with the horizontal pass).
RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height);

/// Pillow's filters by its numbers for `resample`.
enum class Resample { kBilinear = 2, kBicubic = 3 };

/// A rectangle of a resized image; it must lie within it.
struct Region {
  int64_t left = 0, top = 0, width = 0, height = 0;
};

/// The part `region` of `image` resized to width x height, without computing the rest; bit-equal to resizing and cropping with Pillow.
RgbImage resize_region(const RgbImage& image, Resample resample, int64_t width, int64_t height, const Region& region);

}  // namespace multimeditron
