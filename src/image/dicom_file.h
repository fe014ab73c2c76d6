#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "image/image.h"

namespace multimeditron {

/// How a DICOM file's data set is written (its transfer syntax).
struct DicomSyntax {
  enum class Codec { kNone, kRle, kJpeg, kJpegLs, kJpeg2000 };
  bool is_explicit = false, is_big_endian = false, is_deflated = false;
  Codec codec = Codec::kNone;
};

/// A table that values are looked up in; values below `first` take its first entry, those beyond its end the last one.
struct DicomTable {
  double first = 0;
  int bits = 0;
  std::vector<uint16_t> entries;
};

/// What a DICOM file says about its pictures, and where their bytes lie. Only the elements that this needs are ever read: no name, no date,
/// no free text leaves the file.
struct DicomFile {
  DicomSyntax syntax;
  std::vector<std::byte> inflated;  ///< what the spans below point into where the file is deflated

  int64_t rows = 0, columns = 0, frames = 1;
  int samples_per_pixel = 1, bits_allocated = 0, bits_stored = 0, high_bit = 0;
  bool is_signed = false, is_planar = false;
  std::string photometric;  ///< as in the file: for comparisons, not for messages

  // From values in the file to values with a unit, and from these to grey. Of several windows the first.
  std::optional<double> slope, intercept, centre, width;
  std::string voi_function;
  std::optional<DicomTable> modality_table, voi_table;
  std::array<DicomTable, 3> palette;  ///< red, green, blue

  enum class Pixels { kNone, kWhole, kFloat, kDouble };
  Pixels pixels = Pixels::kNone;
  bool is_encapsulated = false;
  bool is_cut = false;                                ///< the file ends within its pixel data
  bool is_swapped = false;                            ///< 8-bit pixels in big-endian words
  std::span<const std::byte> native;                  ///< all frames, one after the other
  std::vector<std::span<const std::byte>> fragments;  ///< of encapsulated pixel data, without the offset table
  std::vector<size_t> fragment_places;                ///< offset of each fragment's item from the first one's
  std::vector<uint64_t> offsets;                      ///< of the frames, where the file lists them

  // For the order of slices that are files of their own.
  std::string series;
  std::optional<std::array<double, 3>> position;
  std::optional<std::array<double, 6>> orientation;
  std::optional<double> number;
};

/// Does "DICM" stand behind a preamble?
bool has_dicom_preamble(std::span<const std::byte> bytes);

/// A DICOM file by its content: "DICM" behind the preamble, or, where that is missing, a data set that begins as one must.
bool is_dicom(std::span<const std::byte> bytes);

/// Reads what the file says of frame `frame`; `bytes` must outlive it. `with_pixels` false stops before the pixel data. Throws UserError:
/// truncated, corrupt, unsupported.
DicomFile read_dicom(std::span<const std::byte> bytes, int64_t frame, const DecodeOptions& options, bool with_pixels = true);

/// Expands a segmented palette (PS3.3 C.7.9.2), at most `count` entries of it. Throws UserError.
std::vector<uint16_t> expand_segmented_palette(std::span<const uint16_t> words, bool is_eight_bit, bool is_big_endian, size_t count);

}  // namespace multimeditron
