#include <fmt/format.h>
#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "image/codec.h"
#include "image/grey.h"
#include "image/inflate.h"
#include "image/pixels.h"

namespace multimeditron {
namespace {

/// What libtiff may take at once for its own ends.
constexpr tmsize_t kMaxAllocation = tmsize_t{1} << 30;

/// Bytes that a byte of a compression can unfold to at most; 0: no bound is known.
int64_t max_unfolding(uint16_t compression) {
  switch (compression) {
    case COMPRESSION_NONE:
      return 1;
    case COMPRESSION_PACKBITS:
      return 64;  // 2 bytes, 128 pixels
    case COMPRESSION_LZW:
      return 2731;  // a code of 12 bits, 4096 bytes
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
      return kMostFolded;
    case COMPRESSION_JPEG:
      return 2048;  // a bit, a block of 64 samples, its chroma counted four times
    default:
      return 0;
  }
}

/// libtiff over bytes in memory. Its messages are kept, not printed.
class TiffReader {
 public:
  explicit TiffReader(std::span<const std::byte> bytes) : bytes_(bytes) {
    const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(), &TIFFOpenOptionsFree);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kMaxAllocation);
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), &on_error, this);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), &on_warning, this);
    tiff_.reset(TIFFClientOpenExt(
        "memory", "r", this, &on_read, [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; }, &on_seek, [](thandle_t) { return 0; },
        [](thandle_t self) -> toff_t { return static_cast<TiffReader*>(self)->bytes_.size(); }, &on_map, [](thandle_t, void*, toff_t) {},
        options.get()));
    if (tiff_ == nullptr) throw error();
  }

  TIFF* get() const { return tiff_.get(); }

  template <typename T>
  T field(uint32_t tag, T value) const {
    T found{};
    return TIFFGetFieldDefaulted(tiff_.get(), tag, &found) == 1 ? found : value;
  }

  /// 1 to 8, from the tag, else from the XMP packet as Pillow looks for it.
  int orientation() const {
    uint16_t value = 0;
    if (TIFFGetField(tiff_.get(), TIFFTAG_ORIENTATION, &value) == 1) return value;
    uint32_t size = 0;
    const char* packet = nullptr;
    if (TIFFGetField(tiff_.get(), TIFFTAG_XMLPACKET, &size, &packet) != 1 || packet == nullptr) return 1;
    const std::string_view xmp(packet, size);
    const std::string_view name = "tiff:Orientation";
    for (size_t at = xmp.find(name); at != std::string_view::npos; at = xmp.find(name, at + 1)) {
      std::string_view rest = xmp.substr(at + name.size());
      rest.remove_prefix(rest.starts_with("=\"") ? 2 : rest.starts_with(">") ? 1 : 0);
      const bool has_value = rest.data() != xmp.data() + at + name.size();
      if (has_value && !rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
    }
    return 1;
  }

  /// To be asked after reading: JPEG data ended too early, which libtiff bears.
  bool is_short() const { return is_short_; }

  /// Truncated where a strip or tile lies past the end of the file.
  UserError error() const {
    const std::string detail = message_[0] != '\0' ? message_ : "libtiff gives no reason";
    const bool has_no_directory = std::strstr(message_, "Can not read TIFF directory") != nullptr;  // it does not fit into the file
    return is_short_ || has_no_directory || lacks_data() ? truncated_image("TIFF", detail) : corrupt_image("TIFF", detail);
  }

 private:
  struct Close {
    void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  };

  bool lacks_data() const {
    if (tiff_ == nullptr) return false;
    const uint32_t count = TIFFIsTiled(tiff_.get()) != 0 ? TIFFNumberOfTiles(tiff_.get()) : TIFFNumberOfStrips(tiff_.get());
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t offset = TIFFGetStrileOffset(tiff_.get(), i), size = TIFFGetStrileByteCount(tiff_.get(), i);
      if (offset > bytes_.size() || size > bytes_.size() - offset) return true;
    }
    return false;
  }

  static int on_error(TIFF*, void* user, const char* module, const char* format, va_list arguments) {
    auto* self = static_cast<TiffReader*>(user);
    if (self->message_[0] != '\0') return 1;  // the first is the cause
    const int used = std::snprintf(self->message_, sizeof self->message_, "%.60s: ", module != nullptr ? module : "libtiff");
    std::vsnprintf(self->message_ + used, sizeof self->message_ - static_cast<size_t>(used), format, arguments);
    return 1;
  }
  /// JPEG data that ends early is only a warning to libjpeg, which makes the rest grey.
  static int on_warning(TIFF* tiff, void* user, const char* module, const char* format, va_list arguments) {
    char text[256];
    va_list copy;
    va_copy(copy, arguments);
    std::vsnprintf(text, sizeof text, format, copy);
    va_end(copy);
    if (std::strstr(text, "remature end") == nullptr) return 1;
    static_cast<TiffReader*>(user)->is_short_ = true;
    return on_error(tiff, user, module, format, arguments);
  }
  static tmsize_t on_read(thandle_t handle, void* out, tmsize_t size) {
    auto* self = static_cast<TiffReader*>(handle);
    const size_t begin = std::min<size_t>(self->offset_, self->bytes_.size());
    const size_t count = std::min(static_cast<size_t>(size), self->bytes_.size() - begin);
    std::memcpy(out, self->bytes_.data() + begin, count);
    self->offset_ += count;
    self->is_short_ = self->is_short_ || count < static_cast<size_t>(size);
    return static_cast<tmsize_t>(count);
  }
  static toff_t on_seek(thandle_t handle, toff_t offset, int whence) {
    auto* self = static_cast<TiffReader*>(handle);
    if (whence == SEEK_CUR) offset += self->offset_;
    if (whence == SEEK_END) offset += self->bytes_.size();
    return self->offset_ = offset;
  }
  static int on_map(thandle_t handle, void** base, toff_t* size) {
    auto* self = static_cast<TiffReader*>(handle);
    *base = const_cast<std::byte*>(self->bytes_.data());  // libtiff reads only, and copies what it has to change
    *size = self->bytes_.size();
    return 1;
  }

  std::span<const std::byte> bytes_;
  toff_t offset_ = 0;
  bool is_short_ = false;
  char message_[256] = "";
  std::unique_ptr<TIFF, Close> tiff_;
};

/// How the samples of a file become channels of 8 bits.
struct Layout {
  int64_t width = 0, height = 0;
  uint16_t bits = 1, samples = 1, photometric = PHOTOMETRIC_MINISWHITE, compression = COMPRESSION_NONE, format = SAMPLEFORMAT_UINT;
  bool is_planar = false;         ///< a plane a sample, instead of the samples of a pixel side by side
  bool is_premultiplied = false;  ///< the colours hold the alpha that follows them
  bool clips_sixteen = false;
  int64_t channels = 1;  ///< that are used, of each pixel's samples the first: grey 1, RGB 3, CMYK and premultiplied RGB 4

  bool is_palette() const { return photometric == PHOTOMETRIC_PALETTE; }
  bool is_grey() const { return photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE; }
  bool is_sixteen_bit_grey() const { return is_grey() && (bits == 16 || bits == 12) && format == SAMPLEFORMAT_UINT; }
};

[[noreturn]] void refuse(const std::string& what) {
  throw unsupported_image("a TIFF image " + what, "convert it to PNG, or to a TIFF of 8 or 16 bits a sample");
}

Layout read_layout(const TiffReader& reader, const DecodeOptions& options) {
  Layout layout;
  const auto width = reader.field<uint32_t>(TIFFTAG_IMAGEWIDTH, 0), height = reader.field<uint32_t>(TIFFTAG_IMAGELENGTH, 0);
  layout.width = width;
  layout.height = height;
  if (width == 0 || height == 0) throw corrupt_image("TIFF", fmt::format("{} x {} pixels", width, height));
  check_image_size(layout.width, layout.height, options);
  layout.bits = reader.field<uint16_t>(TIFFTAG_BITSPERSAMPLE, 1);
  layout.samples = reader.field<uint16_t>(TIFFTAG_SAMPLESPERPIXEL, 1);
  layout.compression = reader.field<uint16_t>(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
  layout.is_planar = reader.field<uint16_t>(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE && layout.samples > 1;
  layout.clips_sixteen = options.sixteen_bit == SixteenBit::kClip;
  uint16_t value = 0, num_extra = 0, *extra = nullptr;
  if (TIFFGetField(reader.get(), TIFFTAG_PHOTOMETRIC, &value) == 1) layout.photometric = value;
  if (TIFFGetField(reader.get(), TIFFTAG_SAMPLEFORMAT, &value) == 1 && value != SAMPLEFORMAT_VOID) layout.format = value;
  if (layout.compression == COMPRESSION_OJPEG) layout.photometric = PHOTOMETRIC_YCBCR;
  if (layout.photometric == PHOTOMETRIC_YCBCR && layout.samples == 1) layout.photometric = PHOTOMETRIC_MINISBLACK;
  TIFFGetFieldDefaulted(reader.get(), TIFFTAG_EXTRASAMPLES, &num_extra, &extra);
  const bool is_rgb = layout.photometric == PHOTOMETRIC_RGB || layout.photometric == PHOTOMETRIC_YCBCR;
  const bool is_cmyk = layout.photometric == PHOTOMETRIC_SEPARATED;
  if (!is_rgb && !is_cmyk && !layout.is_grey() && !layout.is_palette())
    refuse(fmt::format("of the photometric kind {}", layout.photometric));
  layout.is_premultiplied =
      layout.photometric == PHOTOMETRIC_RGB && layout.samples > 3 && num_extra > 0 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
  layout.channels = is_cmyk || layout.is_premultiplied ? 4 : is_rgb ? 3 : 1;
  if (layout.samples < layout.channels) throw corrupt_image("TIFF", fmt::format("{} samples a pixel", layout.samples));

  const uint16_t bits = layout.bits;
  const bool is_integer = layout.format == SAMPLEFORMAT_UINT || layout.format == SAMPLEFORMAT_INT;
  const bool is_small = bits == 1 || bits == 2 || bits == 4 || bits == 12;
  const bool is_known = layout.is_grey() ? (is_integer && (is_small || bits == 8 || bits == 16 || bits == 32)) ||
                                               (layout.format == SAMPLEFORMAT_IEEEFP && bits == 32)
                        : layout.is_palette() ? is_integer && (bits == 8 || (is_small && bits != 12))
                                              : is_integer && (bits == 8 || bits == 16);
  const bool is_packed = is_small && layout.samples > 1 && !layout.is_planar;
  if (!is_known || is_packed)
    refuse(fmt::format("of {} bits a sample, {} samples a pixel and sample format {}", bits, layout.samples, layout.format));
  return layout;
}

/// `count` samples, `step` apart in `row` (native byte order), to 8 bits, `channels` apart in `out`; 12 and 16 bits as they are where `out`
/// has room for them.
template <typename Out>
void unpack(const Layout& layout, const uint8_t* row, int64_t count, int64_t step, Out* out) {
  const int64_t channels = layout.channels;
  const uint8_t flip = layout.photometric == PHOTOMETRIC_MINISWHITE && layout.format != SAMPLEFORMAT_IEEEFP && layout.bits <= 8 ? 255 : 0;
  const auto shown = [](uint32_t value, bool clips, int bits) {
    if constexpr (sizeof(Out) == 2) return static_cast<Out>(value);
    return static_cast<Out>(sixteen_to_eight(clips ? value : value << (16 - bits), clips));
  };
  const auto each = [&](auto value_at) {
    for (int64_t i = 0; i < count; ++i) out[i * channels] = value_at(i);
  };
  const auto load = [&]<typename T>(int64_t i, T value) {
    std::memcpy(&value, row + i * step * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  };
  if (layout.bits < 8) {
    const int bits = layout.bits, per_byte = 8 / bits, most = (1 << bits) - 1, scale = layout.is_palette() ? 1 : 255 / most;
    each([&](int64_t i) { return static_cast<uint8_t>((((row[i / per_byte] >> (8 - bits * (i % per_byte + 1))) & most) * scale) ^ flip); });
  } else if (layout.bits == 8) {
    each([&](int64_t i) { return static_cast<uint8_t>(row[i * step] ^ flip); });
  } else if (layout.bits == 12) {  // two samples in three bytes
    each([&](int64_t i) {
      const uint8_t* in = row + i / 2 * 3;
      const uint32_t value = i % 2 == 0 ? in[0] << 4 | in[1] >> 4 : (in[1] & 15u) << 8 | in[2];
      return shown(value, layout.clips_sixteen, 12);
    });
  } else if (layout.bits == 16 && layout.is_grey() && layout.format == SAMPLEFORMAT_INT) {
    each([&](int64_t i) { return static_cast<uint8_t>(std::clamp<int>(load(i, int16_t{}), 0, 255)); });
  } else if (layout.bits == 16) {
    each([&](int64_t i) { return shown(load(i, uint16_t{}), layout.is_grey() && layout.clips_sixteen, 16); });
  } else if (layout.format == SAMPLEFORMAT_IEEEFP) {
    each([&](int64_t i) { return float_to_eight(load(i, float{})); });
  } else {
    each([&](int64_t i) { return static_cast<uint8_t>(std::clamp<int32_t>(load(i, int32_t{}), 0, 255)); });
  }
}

/// The rows or tiles of plane `plane` (0 where the samples of a pixel lie side by side) into out: [height, width, channels].
template <typename Out>
void read_plane(const TiffReader& reader, const Layout& layout, int64_t plane, std::vector<Out>& out) {
  TIFF* tiff = reader.get();
  const int64_t step = layout.is_planar ? 1 : layout.samples;
  const int64_t num_channels = layout.is_planar ? 1 : layout.channels, sample_size = layout.bits / 8;
  const auto unpack_row = [&](const uint8_t* row, int64_t x, int64_t y, int64_t count) {
    for (int64_t c = 0; c < num_channels; ++c) {
      unpack(layout, row + c * sample_size, count, step, out.data() + (y * layout.width + x) * layout.channels + plane + c);
    }
  };
  // Memory for the pixels comes after the first piece of them has been decoded.
  const auto make_room = [&] { out.resize(static_cast<size_t>(layout.width * layout.height * layout.channels)); };
  if (TIFFIsTiled(tiff) == 0) {
    std::vector<uint8_t> row(static_cast<size_t>(TIFFScanlineSize64(tiff)));
    for (int64_t y = 0; y < layout.height; ++y) {
      if (TIFFReadScanline(tiff, row.data(), static_cast<uint32_t>(y), static_cast<uint16_t>(plane)) < 0) throw reader.error();
      make_room();
      unpack_row(row.data(), 0, y, layout.width);
    }
    return;
  }
  const auto tile_width = reader.field<uint32_t>(TIFFTAG_TILEWIDTH, 0), tile_height = reader.field<uint32_t>(TIFFTAG_TILELENGTH, 0);
  std::vector<uint8_t> tile(static_cast<size_t>(TIFFTileSize64(tiff)));
  const auto tile_row = static_cast<int64_t>(TIFFTileRowSize64(tiff));
  for (int64_t top = 0; top < layout.height; top += tile_height) {
    for (int64_t left = 0; left < layout.width; left += tile_width) {
      const uint32_t number =
          TIFFComputeTile(tiff, static_cast<uint32_t>(left), static_cast<uint32_t>(top), 0, static_cast<uint16_t>(plane));
      if (TIFFReadEncodedTile(tiff, number, tile.data(), static_cast<tmsize_t>(tile.size())) < 0) throw reader.error();
      make_room();
      const int64_t rows = std::min<int64_t>(tile_height, layout.height - top),
                    columns = std::min<int64_t>(tile_width, layout.width - left);
      for (int64_t y = 0; y < rows; ++y) unpack_row(tile.data() + y * tile_row, left, top + y, columns);
    }
  }
}

/// Throws where the strips or tiles claim more than the file can hold, or than is sensible.
void check_pieces(const TiffReader& reader, const Layout& layout, size_t size_bytes, const DecodeOptions& options) {
  TIFF* tiff = reader.get();
  uint64_t piece = TIFFScanlineSize64(tiff), total = piece * static_cast<uint64_t>(layout.height);
  if (TIFFIsTiled(tiff) != 0) {
    const auto width = reader.field<uint32_t>(TIFFTAG_TILEWIDTH, 0), height = reader.field<uint32_t>(TIFFTAG_TILELENGTH, 0);
    if (width == 0 || height == 0) throw corrupt_image("TIFF", "tiles without a size");
    check_image_size(width, height, options);
    piece = TIFFTileSize64(tiff);
    total = piece * TIFFNumberOfTiles(tiff) / (layout.is_planar ? layout.samples : 1u);
  }
  if (piece == 0) throw reader.error();
  const int64_t unfolding = max_unfolding(layout.compression);
  if (unfolding > 0 && total / static_cast<uint64_t>(unfolding) > size_bytes) {
    throw truncated_image("TIFF", fmt::format("{} bytes for {} x {} pixels", size_bytes, layout.width, layout.height));
  }
  if (piece > static_cast<uint64_t>(kMaxAllocation)) {
    throw UserError("too large an image",
                    {.found = fmt::format("tiles or rows of {} bytes", piece), .fix = "write it anew with smaller tiles"});
  }
}

/// libtiff's own way to RGB, which Pillow takes for YCbCr: chroma of any resolution, JPEG of the old kind.
RgbImage read_as_rgba(const TiffReader& reader, const Layout& layout, int orientation) {
  RgbImage image{layout.width, layout.height, {}};
  std::vector<uint32_t> raster(static_cast<size_t>(layout.width * layout.height));
  // In the file's own orientation nothing is turned over.
  if (TIFFReadRGBAImageOriented(reader.get(), static_cast<uint32_t>(layout.width), static_cast<uint32_t>(layout.height), raster.data(),
                                orientation, 1) == 0 ||
      reader.is_short()) {
    throw reader.error();
  }
  image.pixels.reserve(raster.size() * 3);
  for (const uint32_t pixel : raster) {
    for (const uint32_t channel : {TIFFGetR(pixel), TIFFGetG(pixel), TIFFGetB(pixel)})
      image.pixels.push_back(static_cast<uint8_t>(channel));
  }
  return image;
}

/// Pillow's YCbCr to RGB, in place: tables of 6 fractional bits.
void ycbcr_to_rgb(std::vector<uint8_t>& pixels) {
  const auto product = [](double factor, int chroma) { return static_cast<int>(factor * 64 * (chroma - 128) + 0.5); };
  for (size_t i = 0; i < pixels.size(); i += 3) {
    const int y = pixels[i], cb = pixels[i + 1], cr = pixels[i + 2];
    const int rgb[3] = {y + (product(1.40199, cr) >> 6), y + ((product(-0.34413, cb) + product(-0.71413, cr)) >> 6),
                        y + (product(1.77200, cb) >> 6)};
    for (size_t c = 0; c < 3; ++c) pixels[i + c] = static_cast<uint8_t>(std::clamp(rgb[c], 0, 255));
  }
}

/// Premultiplied RGBA to RGB, rounded down.
void divide_by_alpha(const std::vector<uint8_t>& rgba, uint8_t* rgb) {
  for (size_t i = 0; i < rgba.size(); i += 4, rgb += 3) {
    const int alpha = rgba[i + 3];
    for (size_t c = 0; c < 3; ++c) rgb[c] = alpha == 0 ? 0 : static_cast<uint8_t>(std::min(255, rgba[i + c] * 255 / alpha));
  }
}

Palette read_palette(const TiffReader& reader, const Layout& layout) {
  uint16_t* channels[3] = {};
  if (TIFFGetField(reader.get(), TIFFTAG_COLORMAP, &channels[0], &channels[1], &channels[2]) != 1) {
    throw corrupt_image("TIFF", "a palette image without its palette");
  }
  Palette palette{};
  for (size_t i = 0; i < size_t{1} << layout.bits; ++i) {
    for (size_t c = 0; c < 3; ++c) palette[i][c] = static_cast<uint8_t>(channels[c][i] >> 8);
  }
  return palette;
}

/// The image as it is to be seen: `orientation` says where its first row and column belong (1: as they are).
RgbImage oriented(RgbImage image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool swaps = orientation >= 5;
  const bool mirrors_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirrors_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  RgbImage result{swaps ? image.height : image.width, swaps ? image.width : image.height, std::vector<uint8_t>(image.pixels.size()),
                  image.is_from_sixteen_bit_grey};
  uint8_t* out = result.pixels.data();
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x, out += 3) {
      int64_t from_x = swaps ? y : x, from_y = swaps ? x : y;
      if (mirrors_x) from_x = image.width - 1 - from_x;
      if (mirrors_y) from_y = image.height - 1 - from_y;
      std::memcpy(out, image.pixels.data() + (from_y * image.width + from_x) * 3, 3);
    }
  }
  return result;
}

}  // namespace

// The first page, turned as its orientation says.
RgbImage decode_tiff(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const TiffReader reader(bytes);
  Layout layout = read_layout(reader, options);
  check_pieces(reader, layout, bytes.size(), options);
  const int orientation = reader.orientation();
  if (layout.photometric == PHOTOMETRIC_YCBCR) {
    uint16_t across = 1, down = 1;
    TIFFGetFieldDefaulted(reader.get(), TIFFTAG_YCBCRSUBSAMPLING, &across, &down);
    if (layout.compression == COMPRESSION_JPEG && !layout.is_planar) {
      TIFFSetField(reader.get(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    } else if (layout.compression != COMPRESSION_NONE || across != 1 || down != 1) {
      return oriented(read_as_rgba(reader, layout, reader.field<uint16_t>(TIFFTAG_ORIENTATION, 1)), orientation);
    }
  }

  if (layout.is_sixteen_bit_grey() && has_own_rule(options.volume)) {
    std::vector<uint16_t> values;
    read_plane(reader, layout, 0, values);
    if (reader.is_short()) throw reader.error();
    return oriented({layout.width, layout.height, sixteen_bit_grey_to_rgb(values, options.volume)}, orientation);
  }

  const bool is_rgb = layout.channels == 3;
  std::vector<uint8_t> channels;  // [height, width, channels]
  if (!layout.is_planar) read_plane(reader, layout, 0, channels);
  for (int64_t plane = 0; layout.is_planar && plane < layout.channels; ++plane) read_plane(reader, layout, plane, channels);
  if (reader.is_short()) throw reader.error();

  RgbImage image{layout.width, layout.height, {}, layout.is_sixteen_bit_grey() && !layout.clips_sixteen};
  const int64_t count = layout.width * layout.height;
  if (is_rgb) {
    image.pixels = std::move(channels);
    if (layout.photometric == PHOTOMETRIC_YCBCR && layout.compression == COMPRESSION_NONE) ycbcr_to_rgb(image.pixels);
  } else {
    image.pixels.resize(static_cast<size_t>(count * 3));
    uint8_t* rgb = image.pixels.data();
    if (layout.is_palette())
      palette_to_rgb(channels.data(), count, read_palette(reader, layout), rgb);
    else if (layout.is_premultiplied)
      divide_by_alpha(channels, rgb);
    else if (layout.channels == 4)
      cmyk_to_rgb(channels.data(), count, false, rgb);
    else
      grey_to_rgb(channels.data(), count, rgb);
  }
  return oriented(std::move(image), orientation);
}

}  // namespace multimeditron
