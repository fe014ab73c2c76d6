#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/image.h"

namespace multimeditron {

/// What a resize makes of an image: its shortest edge fits; height and width as given, whatever their ratio was (ViT's kind); its longest
/// edge fits and the rest is padded (open_clip's `resize_mode: longest`).
enum class Fit { kShortest, kExact, kLongest };

/// An image processor as CLIP, ViT, ConvNeXt, SigLIP, BLIP, BiT (also DINOv2's) and DeiT have them, read from `preprocessor_config.json`
/// (old and new spellings of sizes, absent keys as in transformers) or from `open_clip_config.json`.
struct ImageProcessor {
  bool do_resize = true, do_center_crop = true, do_rescale = true, do_normalize = true;
  Fit fit = Fit::kShortest;
  bool has_crop_pct = false;  ///< ConvNeXt's: `size` is what comes out, the resize goes to size / crop_pct
  bool torchvision = false;   ///< torchvision's roundings, which open_clip uses: of the crop's corner, and of value / 255
  int64_t shortest_edge = 224, resize_height = 224, resize_width = 224;
  int64_t crop_height = 224, crop_width = 224;
  Resample resample = Resample::kBicubic;
  double rescale_factor = 1.0 / 255.0;
  std::array<double, 3> image_mean{0.48145466, 0.4578275, 0.40821073};
  std::array<double, 3> image_std{0.26862954, 0.26130258, 0.27577711};
  Json config;  ///< as read, written back into checkpoints

  /// `folder` holds preprocessor_config.json, processor_config.json or open_clip_config.json; the first counts. Throws UserError naming
  /// file and key.
  static ImageProcessor load(const std::filesystem::path& folder);
  static ImageProcessor from_json(const Json& config);
  /// The transform that open_clip makes of `preprocess_cfg` (mean, std, interpolation, resize_mode) for images of this size. Its `config`
  /// is a CLIP processor's with open_clip's under `open_clip`, which from_json reads again.
  static ImageProcessor from_open_clip(const Json& preprocess_cfg, int64_t image_size);

  /// The same processor for square images of this size; where it crops, it keeps the same part of an image.
  ImageProcessor resized(int64_t image_size) const;

  /// What a decoder may reduce an image to before this processor (DecodeOptions), [width, height]; nothing where it does not resize.
  std::optional<std::array<int64_t, 2>> enough() const;

  /// float32 [3, height(), width()], equal to the transformers PIL processor, or to open_clip's transform.
  std::vector<float> operator()(const RgbImage& image) const;
  int64_t height() const;
  int64_t width() const;
};

}  // namespace multimeditron
