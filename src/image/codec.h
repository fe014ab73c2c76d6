#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "image/image.h"

namespace multimeditron {

/// Pillow's limit (twice its MAX_IMAGE_PIXELS): more pixels in a header are refused.
inline constexpr int64_t kMaxImagePixels = 178'956'970;

/// The faults of an image file, each with its word in the message.
UserError truncated_image(const std::string& kind, const std::string& detail);
UserError corrupt_image(const std::string& kind, const std::string& detail);
UserError unsupported_image(const std::string& what, const std::string& fix);

/// Throws UserError "too large" past kMaxImagePixels.
void check_image_size(int64_t width, int64_t height);

/// One function a format; `bytes` begin with the format's signature. Throw UserError.
RgbImage decode_jpeg(std::span<const std::byte> bytes);
RgbImage decode_png(std::span<const std::byte> bytes);

}  // namespace multimeditron
