#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"
#include "image/processor.h"
#include "recipe/scan_view.h"

namespace multimeditron {

/// Reads and decodes an image that the user names, a scan or a folder of DICOM slices as `scan` says. Throws UserError naming the file.
RgbImage read_image(const std::filesystem::path& file, const ScanView& scan = {});

/// What `processor` hands to the encoder as 8-bit RGB again, for people to look at. `pixel_values`: [3, H, W].
RgbImage visible(const ImageProcessor& processor, std::span<const float> pixel_values);

/// Images side by side in half blocks of colour, each `columns` wide, as lines for a terminal. 24-bit colours where $COLORTERM promises
/// them, else the 256 of xterm.
std::vector<std::string> preview(std::span<const RgbImage> images, int64_t columns);

}  // namespace multimeditron
