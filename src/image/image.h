#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace multimeditron {

/// 8-bit RGB, rows top to bottom, 3 bytes a pixel: what PIL's `Image.open(...).convert("RGB")` gives.
struct RgbImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> pixels;  ///< [height, width, 3]
  /// The file held 16-bit grey, of which the high byte was taken (SixteenBit::kHighByte).
  bool is_from_sixteen_bit_grey = false;
};

/// Pillow's limit (twice its MAX_IMAGE_PIXELS): more pixels in a header are refused before memory is taken.
inline constexpr int64_t kMaxImagePixels = 178'956'970;

/// 16-bit grey in 8 bits: the high byte, or what is above 255 made 255, as Pillow does it (which turns radiographs white).
enum class SixteenBit { kHighByte, kClip };

/// Grey values around `centre`, black to white within `width`, in a scan's own unit (of a CT: Hounsfield units).
struct Window {
  double centre = 0, width = 1;
};

/// From which value to which a scan is shown: as its file says (else from the least to the greatest value), from the least to the greatest
/// value of the slice, or from its 1st to its 99th percentile.
enum class Shading { kFile, kMinMax, kPercentile };

/// A slice's plane as the patient lies.
enum class SlicePlane { kAxial, kCoronal, kSagittal };

/// Which picture of a scan (DICOM, NIfTI) is taken, and how its values, or those of 16-bit grey, become grey.
struct VolumeOptions {
  std::optional<Window> window;   ///< where set, instead of `shading`
  bool is_in_hounsfield = false;  ///< `window` is one of CT, which means nothing to 16-bit grey of an ordinary image
  Shading shading = Shading::kFile;
  int64_t frame = 0;                ///< of a DICOM file with several
  std::optional<SlicePlane> plane;  ///< not set: axial; of a folder of DICOM slices, the plane that they were taken in
  std::optional<int64_t> slice;  ///< counted from the patient's feet, back or left... the side that `plane` looks from; not set: the middle
  int64_t volume = 0;            ///< of a NIfTI file with several (a time series)
};

/// How a loader wants its files decoded.
struct DecodeOptions {
  int64_t max_pixels = kMaxImagePixels;
  SixteenBit sixteen_bit = SixteenBit::kHighByte;  ///< where `volume` has no window or shading of its own
  /// Where not 0, a JPEG may come at 1/2, 1/4 or 1/8 of its size, by smaller DCTs, as long as no side falls below these. Equal to Pillow's
  /// draft(), not to its resize.
  int64_t enough_width = 0, enough_height = 0;
  VolumeOptions volume;
};

/// Decodes by content (JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, JPEG 2000, DICOM, NIfTI), not by name; of several frames or pages the first.
/// Throws UserError whose message names the kind of fault: unidentified, truncated, corrupt, too large, unsupported.
RgbImage decode_image(std::span<const std::byte> bytes, const DecodeOptions& options = {});

/// Throws what decode_image would, where a file that begins so is of no format that is read. kFirstBytes are enough to tell.
void require_image(std::span<const std::byte> first_bytes);
inline constexpr size_t kFirstBytes = 1 << 16;

/// An 8-bit RGB PNG of `image`, for the demo's data set and for reports.
std::string encode_png(const RgbImage& image);

/// A baseline JPEG of `image`, `quality` 1 to 100 as libjpeg counts it, chroma at half resolution (4:2:0), without metadata; one component
/// where the image has no colour. Decodes to the pixels that Pillow's save(quality=...) gives. Throws UserError past 65,500 pixels a side.
std::string encode_jpeg(const RgbImage& image, int quality);

/// PIL's bicubic resize with antialias (a = -0.5): two passes, each rounded to 8 bit. Bit-equal to Pillow 13: horizontal first, but
/// vertical first where the height shrinks by more than twice what the width does (Pillow up to 12 always began with the horizontal pass).
RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height);

/// Pillow's filters by its numbers for `resample`.
enum class Resample { kLanczos = 1, kBilinear = 2, kBicubic = 3 };

/// A rectangle of a resized image; it must lie within it.
struct Region {
  int64_t left = 0, top = 0, width = 0, height = 0;
};

/// The part `region` of `image` resized to width x height, without computing the rest; bit-equal to resizing and cropping with Pillow.
RgbImage resize_region(const RgbImage& image, Resample resample, int64_t width, int64_t height, const Region& region);

}  // namespace multimeditron
