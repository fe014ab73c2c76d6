#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "image/image.h"

namespace multimeditron {

/// The faults of an image file, each with its word in the message.
UserError truncated_image(const std::string& kind, const std::string& detail);
UserError corrupt_image(const std::string& kind, const std::string& detail);
UserError unsupported_image(const std::string& what, const std::string& fix);

/// Throws UserError "too large" past `options.max_pixels`.
void check_image_size(int64_t width, int64_t height, const DecodeOptions& options);

/// One function a format; `bytes` begin with the format's signature. Throw UserError.
RgbImage decode_jpeg(std::span<const std::byte> bytes, const DecodeOptions& options);
RgbImage decode_png(std::span<const std::byte> bytes, const DecodeOptions& options);
RgbImage decode_webp(std::span<const std::byte> bytes, const DecodeOptions& options);
RgbImage decode_tiff(std::span<const std::byte> bytes, const DecodeOptions& options);
RgbImage decode_gif(std::span<const std::byte> bytes, const DecodeOptions& options);
RgbImage decode_bmp(std::span<const std::byte> bytes, const DecodeOptions& options);
RgbImage decode_pnm(std::span<const std::byte> bytes, const DecodeOptions& options);

}  // namespace multimeditron
