#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "image/codec.h"
#include "image/dicom_file.h"
#include "image/inflate.h"

namespace multimeditron {
namespace {

constexpr const char* kConvert = "convert it to PNG or JPEG";
constexpr const char* kReadable = "JPEG, PNG, WebP, TIFF, GIF, BMP, PNM, JPEG 2000, DICOM or NIfTI";

using namespace std::string_view_literals;
using Decode = RgbImage (*)(std::span<const std::byte>, const DecodeOptions&);

/// What a format begins with, and who decodes it.
struct Format {
  std::string_view bytes;
  Decode decode;
  const char* name;
};
constexpr std::array kFormats = {
    Format{"\xff\xd8\xff"sv, decode_jpeg, "JPEG"},
    Format{"\x89PNG\r\n\x1a\n"sv, decode_png, "PNG"},
    Format{"II*\0"sv, decode_tiff, "TIFF"},
    Format{"MM\0*"sv, decode_tiff, "TIFF"},
    Format{"II+\0"sv, decode_tiff, "BigTIFF"},
    Format{"MM\0+"sv, decode_tiff, "BigTIFF"},
    Format{"GIF87a"sv, decode_gif, "GIF"},
    Format{"GIF89a"sv, decode_gif, "GIF"},
    Format{"BM"sv, decode_bmp, "BMP"},
    Format{"\xff\x4f\xff\x51"sv, decode_jpeg2000, "JPEG 2000"},
    Format{"\0\0\0\x0cjP  \r\n\x87\n"sv, decode_jpeg2000, "JPEG 2000"},
};

/// A format that is known by its first bytes but cannot be decoded.
struct Signature {
  size_t offset;
  std::string_view bytes;
  const char* what;
  const char* fix;
};

constexpr std::array kUndecodable = {
    Signature{4, "ftypavi"sv, "an AVIF image", kConvert},
    Signature{4, "ftyphe"sv, "a HEIF image", kConvert},
    Signature{4, "ftypmif1"sv, "a HEIF or AVIF image", kConvert},
    Signature{4, "ftypmsf1"sv, "a HEIF image", kConvert},
    Signature{4, "ftyp"sv, "a video", "save one of its pictures as PNG"},
    Signature{0, "\x1f\x8b"sv, "gzip-compressed data", "decompress it first"},
    Signature{0, "version https://git-lfs"sv, "a Git LFS pointer, not the file itself", "run `git lfs pull` where the data set was cloned"},
};

bool has_at(std::span<const std::byte> bytes, size_t offset, std::string_view wanted) {
  if (bytes.size() < offset + wanted.size()) return false;
  return std::string_view(reinterpret_cast<const char*>(bytes.data()) + offset, wanted.size()) == wanted;
}

/// P1 to P6 or Pf, and white space.
bool is_pnm(std::span<const std::byte> bytes) {
  if (bytes.size() < 3 || !has_at(bytes, 0, "P"sv)) return false;
  const auto kind = std::to_integer<char>(bytes[1]), next = std::to_integer<char>(bytes[2]);
  return ((kind >= '1' && kind <= '6') || kind == 'f') && (next == ' ' || (next >= '\t' && next <= '\r'));
}

/// Whose data begin so; null: of no format that is read.
Decode decoder_of(std::span<const std::byte> bytes) {
  if (has_dicom_preamble(bytes)) return decode_dicom;  // which may look like a TIFF, on purpose
  for (const Format& format : kFormats) {
    if (has_at(bytes, 0, format.bytes)) return format.decode;
  }
  if (has_at(bytes, 0, "RIFF"sv) && has_at(bytes, 8, "WEBP"sv)) return decode_webp;
  if (is_pnm(bytes)) return decode_pnm;
  if (is_nifti(bytes)) return decode_nifti;
  return is_dicom(bytes) ? decode_dicom : nullptr;
}

/// What to say of bytes that no decoder takes.
UserError unknown_image(std::span<const std::byte> bytes) {
  constexpr int64_t kHeader = 348;  // of the shortest NIfTI file
  if (bytes.empty()) return UserError("unidentified image: no bytes at all", {.fix = "copy or download the file again, or leave it out"});
  if (has_at(bytes, 0, "\x1f\x8b"sv)) Inflater(bytes, Inflater::Format::kGzip, "gzip").skip(kHeader);  // throws where it is cut or damaged
  for (const Signature& signature : kUndecodable) {
    if (has_at(bytes, signature.offset, signature.bytes)) return unsupported_image(signature.what, signature.fix);
  }
  for (const Format& format : kFormats) {
    const bool is_begun = bytes.size() >= 2 && has_at(bytes, 0, format.bytes.substr(0, std::min(bytes.size(), format.bytes.size())));
    if (is_begun) return truncated_image(format.name, fmt::format("{} bytes", bytes.size()));
  }
  return UserError(
      "unidentified image: its first bytes belong to no known format",
      {.found = bytes.size() < kFirstBytes ? fmt::format("{} bytes", bytes.size()) : "", .fix = fmt::format("give a {} file", kReadable)});
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
  return UserError(fmt::format("unsupported image: {}", what),
                   {.found = fmt::format("expected a common kind of {}", kReadable), .fix = fix});
}

void check_image_size(int64_t width, int64_t height, const DecodeOptions& options) {
  if (height == 0 || width <= options.max_pixels / height) return;
  throw UserError("too large an image",
                  {.found = fmt::format("{} x {} pixels in its header; at most {} are accepted", width, height, options.max_pixels),
                   .fix = "scale it down first"});
}

RgbImage decode_image(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const Decode decode = decoder_of(bytes);
  if (decode == nullptr) throw unknown_image(bytes);
  return decode(bytes, options);
}

void require_image(std::span<const std::byte> first_bytes) {
  if (decoder_of(first_bytes) == nullptr) throw unknown_image(first_bytes);
}

}  // namespace multimeditron
