#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "image/codec.h"
#include "image/pixels.h"

namespace multimeditron {
namespace {

enum Compression : uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

/// Little-endian numbers by offset.
class Numbers {
 public:
  explicit Numbers(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint32_t at(uint64_t offset, int size) const {
    if (offset + static_cast<uint64_t>(size) > bytes_.size()) throw truncated_image("BMP", "end of data within the header");
    uint32_t value = 0;
    for (int i = size - 1; i >= 0; --i) value = value << 8 | std::to_integer<uint32_t>(bytes_[offset + static_cast<uint64_t>(i)]);
    return value;
  }
  uint8_t u8(uint64_t offset) const { return static_cast<uint8_t>(at(offset, 1)); }
  uint32_t u16(uint64_t offset) const { return at(offset, 2); }
  uint32_t u32(uint64_t offset) const { return at(offset, 4); }

 private:
  std::span<const std::byte> bytes_;
};

struct Header {
  int64_t width = 0, height = 0;
  bool is_top_down = false;
  uint32_t bits = 0, compression = kNone;
  std::array<uint32_t, 3> masks{};  ///< of red, green and blue in a pixel of 16 or 32 bits
  uint64_t colours = 0, colour_size = 4, palette = 0, pixels = 0;
};

/// OS/2's header of 12 bytes, and Windows' of 40 and more, which all begin alike.
Header read_header(const Numbers& file) {
  Header header;
  const uint64_t size = file.u32(14);
  header.pixels = file.u32(10);
  header.palette = 14 + size;
  if (size == 12) {
    header.width = file.u16(18);
    header.height = file.u16(20);
    header.bits = file.u16(24);
    header.colour_size = 3;
  } else if (size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124) {
    header.width = file.u32(18);
    header.height = file.u32(22);
    header.is_top_down = file.u8(25) == 0xff;  // a negative height
    if (header.is_top_down) header.height = (int64_t{1} << 32) - header.height;
    header.bits = file.u16(28);
    header.compression = file.u32(30);
    header.colours = file.u32(46);
    if (header.compression == kBitFields) {
      if (size == 40) header.palette += 12;  // the masks stand behind the header instead of in it
      for (size_t i = 0; i < 3; ++i) header.masks[i] = file.u32(54 + 4 * i);
    }
  } else {
    throw unsupported_image(fmt::format("a BMP image with a header of {} bytes", size), "convert it to PNG");
  }
  if (header.width == 0 || header.height == 0) throw corrupt_image("BMP", fmt::format("{} x {} pixels", header.width, header.height));
  if (header.bits <= 8 && header.colours == 0) header.colours = uint64_t{1} << header.bits;
  return header;
}

/// Where the pixels of 16, 24 or 32 bits have their colours. Throws for the layouts that Pillow refuses as well.
void settle_masks(Header& header) {
  using Masks = std::array<uint32_t, 3>;
  if (header.compression == kNone) {
    header.masks = header.bits == 16 ? Masks{0x7c00, 0x3e0, 0x1f} : Masks{0xff0000, 0xff00, 0xff};
    return;
  }
  const Masks bgr = {0xff0000, 0xff00, 0xff};
  if (header.bits == 32 && header.masks == Masks{0, 0, 0}) header.masks = bgr;
  const auto is_any = [&](std::initializer_list<Masks> known) {
    return std::find(known.begin(), known.end(), header.masks) != known.end();
  };
  const bool is_known = header.bits == 16 ? is_any({{0xf800, 0x7e0, 0x1f}, {0x7c00, 0x3e0, 0x1f}})
                        : header.bits == 24
                            ? is_any({bgr})
                            : is_any({bgr, {0xff000000, 0xff0000, 0xff00}, {0xff000000, 0xff00, 0xff}, {0xff, 0xff00, 0xff0000}});
  if (!is_known) {
    throw unsupported_image(
        fmt::format("a BMP image with the bit fields {:x}, {:x}, {:x}", header.masks[0], header.masks[1], header.masks[2]),
        "convert it to PNG");
  }
}

/// The indices of a run-length encoded image, in the file's order of rows. Runs end with their row.
std::vector<uint8_t> read_runs(const Header& header, std::span<const std::byte> bytes) {
  const auto total = static_cast<size_t>(header.width * header.height);
  std::vector<uint8_t> indices;
  int64_t x = 0;
  uint64_t at = header.pixels;
  const auto has = [&](uint64_t count) { return at + count <= bytes.size(); };
  const auto next = [&] { return std::to_integer<uint8_t>(bytes[at++]); };
  const auto append = [&](size_t count, uint8_t value) { indices.resize(std::min(total, indices.size() + count), value); };
  while (indices.size() < total && has(2)) {
    const uint8_t count = next(), code = next();
    if (count > 0) {
      const int64_t run = std::min<int64_t>(count, std::max<int64_t>(0, header.width - x));
      for (int64_t i = 0; i < run; ++i) append(1, header.bits == 8 ? code : i % 2 == 0 ? code >> 4 : code & 15);
      x += run;
    } else if (code == 0) {  // end of the row
      const size_t over = indices.size() % static_cast<size_t>(header.width);
      if (over > 0) append(static_cast<size_t>(header.width) - over, 0);
      x = 0;
    } else if (code == 1) {  // end of the image
      break;
    } else if (code == 2) {  // a jump
      if (!has(2)) break;
      const uint8_t right = next(), up = next();
      append(static_cast<size_t>(right + up * header.width), 0);
      x = static_cast<int64_t>(indices.size()) % header.width;
    } else {  // `code` literal pixels, padded to a whole number of 16-bit words
      const size_t literal = std::min<size_t>(total - indices.size(), code);
      for (size_t i = 0; i < literal;) {
        if (!has(1)) break;
        const uint8_t value = next();
        if (header.bits == 8) {
          append(1, value);
          ++i;
        } else {
          append(1, value >> 4);
          if (i + 1 < literal) append(1, value & 15);
          i += 2;
        }
      }
      x += code;
      if (at % 2 != 0) ++at;
    }
  }
  if (indices.size() < total) throw truncated_image("BMP", fmt::format("{} of {} run-length encoded pixels", indices.size(), total));
  return indices;
}

Palette read_palette(const Header& header, const Numbers& file) {
  if (header.colours > 65536) throw corrupt_image("BMP", fmt::format("a palette of {} colours", header.colours));
  Palette palette{};
  for (uint64_t i = 0; i < std::min<uint64_t>(header.colours, 256); ++i) {
    for (size_t c = 0; c < 3; ++c) palette[i][c] = file.u8(header.palette + i * header.colour_size + 2 - c);  // blue comes first
  }
  fill_grey(palette, std::min<uint64_t>(header.colours, 256));
  return palette;
}

/// A row of 16-, 24- or 32-bit pixels by their masks.
void unpack_row(const Header& header, const uint8_t* row, uint8_t* rgb) {
  std::array<int, 3> shifts{}, limits{};
  for (size_t c = 0; c < 3; ++c) {
    shifts[c] = __builtin_ctz(header.masks[c]);
    limits[c] = static_cast<int>(header.masks[c] >> shifts[c]);
  }
  const int size = static_cast<int>(header.bits) / 8;
  for (int64_t x = 0; x < header.width; ++x, row += size, rgb += 3) {
    if (size > 2) {  // whole bytes
      for (size_t c = 0; c < 3; ++c) rgb[c] = row[shifts[c] / 8];
    } else {
      const uint32_t pixel = row[0] | static_cast<uint32_t>(row[1]) << 8;
      for (size_t c = 0; c < 3; ++c)
        rgb[c] = static_cast<uint8_t>(static_cast<int>((pixel & header.masks[c]) >> shifts[c]) * 255 / limits[c]);
    }
  }
}

}  // namespace

RgbImage decode_bmp(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const Numbers file(bytes);
  Header header = read_header(file);
  check_image_size(header.width, header.height, options);
  const bool has_runs = header.compression == kRle8 || header.compression == kRle4, is_palette = header.bits <= 8;
  const bool is_known_depth =
      header.bits == 1 || header.bits == 4 || header.bits == 8 || header.bits == 16 || header.bits == 24 || header.bits == 32;
  const bool fits = has_runs ? header.bits == (header.compression == kRle8 ? 8u : 4u)
                             : header.compression == kNone || (header.compression == kBitFields && !is_palette);
  if (!is_known_depth || !fits) {
    throw unsupported_image(fmt::format("a BMP image of {} bits a pixel and compression {}", header.bits, header.compression),
                            "convert it to PNG");
  }
  // Some writers give the end of the header as the place of the pixels even with a palette in between; others give none.
  const uint64_t behind_palette = header.palette + (is_palette ? header.colours * header.colour_size : 0);
  if (header.pixels == 0 || (is_palette && header.pixels == header.palette)) header.pixels = behind_palette;
  const Palette palette = is_palette ? read_palette(header, file) : Palette{};
  if (!is_palette) settle_masks(header);

  RgbImage image{header.width, header.height, {}};
  const auto row_of = [&](int64_t y) { return image.pixels.data() + (header.is_top_down ? y : image.height - 1 - y) * image.width * 3; };
  if (has_runs) {
    const std::vector<uint8_t> indices = read_runs(header, bytes);
    image.pixels.resize(indices.size() * 3);
    for (int64_t y = 0; y < image.height; ++y) palette_to_rgb(indices.data() + y * image.width, image.width, palette, row_of(y));
    return image;
  }
  const uint64_t row_bits = static_cast<uint64_t>(image.width) * header.bits, stride = (row_bits + 31) / 32 * 4;
  const uint64_t needed = stride * static_cast<uint64_t>(image.height - 1) + (row_bits + 7) / 8;
  if (header.pixels > bytes.size() || bytes.size() - header.pixels < needed) {
    throw truncated_image("BMP", fmt::format("{} bytes; the pixels need {} from {} on", bytes.size(), needed, header.pixels));
  }
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  std::vector<uint8_t> indices(is_palette ? static_cast<size_t>(image.width) : 0);
  for (int64_t y = 0; y < image.height; ++y) {
    const auto* row = reinterpret_cast<const uint8_t*>(bytes.data()) + header.pixels + static_cast<uint64_t>(y) * stride;
    if (!is_palette) {
      unpack_row(header, row, row_of(y));
      continue;
    }
    const auto per_byte = static_cast<int64_t>(8 / header.bits);
    for (int64_t x = 0; x < image.width; ++x) {
      const auto shift = static_cast<uint32_t>(8 - header.bits * static_cast<uint32_t>(x % per_byte + 1));
      indices[static_cast<size_t>(x)] = static_cast<uint8_t>((row[x / per_byte] >> shift) & ((1u << header.bits) - 1));
    }
    palette_to_rgb(indices.data(), image.width, palette, row_of(y));
  }
  return image;
}

}  // namespace multimeditron
