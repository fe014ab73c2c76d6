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
/// A J2K codestream or a JP2 file.
RgbImage decode_jpeg2000(std::span<const std::byte> bytes, const DecodeOptions& options);
/// A frame of a DICOM file, as `options.volume` asks; no text of the file stands in a message.
RgbImage decode_dicom(std::span<const std::byte> bytes, const DecodeOptions& options);
/// A slice of a NIfTI file (version 1 or 2, gzipped or not), as `options.volume` asks, turned as a DICOM file of its plane is.
RgbImage decode_nifti(std::span<const std::byte> bytes, const DecodeOptions& options);
bool is_nifti(std::span<const std::byte> bytes);

}  // namespace multimeditron
