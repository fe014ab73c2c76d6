#include <fmt/format.h>

#include <array>
#include <string_view>

#include "image/codec.h"

namespace multimeditron {
namespace {

const char* const kConvert = "convert it to PNG or JPEG";

/// A format that is known by its first bytes but cannot be decoded.
struct Signature {
  size_t offset;
  std::string_view bytes;
  const char* what;
  const char* fix;
};

using namespace std::string_view_literals;
constexpr std::array kUndecodable = {
    Signature{8, "WEBP"sv, "a WebP image", nullptr},
    Signature{0, "II*\0"sv, "a TIFF image", nullptr},
    Signature{0, "MM\0*"sv, "a TIFF image", nullptr},
    Signature{0, "II+\0"sv, "a BigTIFF image", nullptr},
    Signature{0, "MM\0+"sv, "a BigTIFF image", nullptr},
    Signature{0, "GIF8"sv, "a GIF image", nullptr},
    Signature{0, "BM"sv, "a BMP image", nullptr},
    Signature{4, "jP  "sv, "a JPEG 2000 image", nullptr},
    Signature{0, "\xff\x4f\xff\x51"sv, "a JPEG 2000 image", nullptr},
    Signature{4, "ftyp"sv, "a HEIF or AVIF image", nullptr},
    Signature{128, "DICM"sv, "a DICOM file", "export its frames as PNG"},
    Signature{344, "n+1\0"sv, "a NIfTI volume", "export its slices as PNG"},
    Signature{0, "\x1f\x8b"sv, "gzip-compressed data", "decompress it first"},
    Signature{0, "version https://git-lfs"sv, "a Git LFS pointer, not the file itself", "run `git lfs pull` where the data set was cloned"},
};

bool has_at(std::span<const std::byte> bytes, size_t offset, std::string_view wanted) {
  if (bytes.size() < offset + wanted.size()) return false;
  return std::string_view(reinterpret_cast<const char*>(bytes.data()) + offset, wanted.size()) == wanted;
}

}  // namespace

UserError truncated_image(const std::string& kind, const std::string& detail) {
  return UserError(fmt::format("truncated image: the {} data ends too early", kind),
                   {.found = detail, .fix = "copy or download the file again, or leave it out"});
}

UserError corrupt_image(const std::string& kind, const std::string& detail) {
  return UserError(fmt::format("corrupt image: the {} data cannot be decoded", kind),
                   {.found = detail, .fix = "copy or download the file again, or leave it out"});
}

UserError unsupported_image(const std::string& what, const std::string& fix) {
  return UserError(fmt::format("unsupported image: {}", what), {.found = what + "; JPEG and PNG can be read", .fix = fix});
}

void check_image_size(int64_t width, int64_t height, const DecodeOptions& options) {
  // Sizes are at most 2^31, so the product fits.
  if (width * height <= options.max_pixels) return;
  throw UserError("too large an image",
                  {.found = fmt::format("{} x {} pixels in its header; at most {} are accepted", width, height, options.max_pixels),
                   .fix = "scale it down first"});
}

RgbImage decode_image(std::span<const std::byte> bytes, const DecodeOptions& options) {
  if (bytes.empty()) throw UserError("unidentified image: no bytes at all", {.fix = "copy or download the file again, or leave it out"});
  if (has_at(bytes, 0, "\xff\xd8\xff"sv)) return decode_jpeg(bytes, options);
  if (has_at(bytes, 0, "\x89PNG\r\n\x1a\n"sv)) return decode_png(bytes, options);
  for (const Signature& signature : kUndecodable) {
    if (has_at(bytes, signature.offset, signature.bytes)) {
      throw unsupported_image(signature.what, signature.fix != nullptr ? signature.fix : kConvert);
    }
  }
  if (bytes.size() < 8 && has_at(bytes, 0, "\xff\xd8"sv)) throw truncated_image("JPEG", fmt::format("{} bytes", bytes.size()));
  if (bytes.size() < 8 && has_at(bytes, 0, "\x89P"sv)) throw truncated_image("PNG", fmt::format("{} bytes", bytes.size()));
  throw UserError("unidentified image: its first bytes belong to no known format",
                  {.found = fmt::format("{} bytes", bytes.size()), .fix = "give a JPEG or PNG file"});
}

}  // namespace multimeditron
