#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "image/codec.h"

namespace multimeditron {

/// Samples as a codec leaves them: whole numbers that have no colour space yet.
struct Samples {
  int64_t width = 0, height = 0;
  int components = 1;
  int bits = 8;  ///< that the codec says a sample has
  bool is_signed = false;
  std::vector<int32_t> values;  ///< [height, width, components]; 32 unsigned bits keep their pattern
};

/// What a file around the codec's bytes says the picture is: other sizes in the codec's own header are refused as corrupt.
struct ExpectedSize {
  int64_t width = 0, height = 0;
  int components = 1;
};

/// For what the codec's own header says otherwise.
inline UserError other_size(const std::string& kind) {
  return corrupt_image(kind, "its size is not the one that the file around it names");
}

/// Do JPEG, JPEG-LS or JPEG 2000 data that cannot be decoded end as they should (FF D9, a few bytes of padding behind it)? If not, they are
/// cut short.
bool has_end_mark(std::span<const std::byte> bytes);

/// A JPEG may repeat scans without end, each costing a pass over the whole image; encoders write about ten.
inline constexpr int kMaxScans = 256;

/// How a JPEG says its three components are meant.
enum class JpegColour { kUnsaid, kRgb, kYcc };

/// What stands in a JPEG's header, found without a decoder.
struct JpegHeader {
  int process = 0;  ///< the n of its SOFn: 0 baseline, 1 extended, 2 progressive, 3 lossless
  int bits = 0;
  int64_t width = 0, height = 0;
  int components = 0;
  JpegColour colour = JpegColour::kUnsaid;
};

/// Throws UserError "corrupt" or "truncated".
JpegHeader read_jpeg_header(std::span<const std::byte> bytes);

/// The components of an 8-bit JPEG (baseline, extended, progressive) at full size, colours not converted. Throws UserError.
Samples decode_jpeg_samples(std::span<const std::byte> bytes, const ExpectedSize& expected);
/// The same of a lossless JPEG of 2 to 16 bits, and of an extended one of 12.
Samples decode_deep_jpeg_samples(std::span<const std::byte> bytes, const JpegHeader& header, const ExpectedSize& expected);
Samples decode_jpeg_ls_samples(std::span<const std::byte> bytes, const ExpectedSize& expected);
/// A J2K codestream or a JP2 file; components that are stored at a lower resolution are repeated.
Samples decode_jpeg2000_samples(std::span<const std::byte> bytes, const ExpectedSize& expected);
/// DICOM's run lengths: one segment a byte of each component (PS3.5 Annex G). `bits`: 8, 16 or 32.
Samples decode_dicom_rle(std::span<const std::byte> bytes, const ExpectedSize& expected, int bits);

}  // namespace multimeditron
