#include <fmt/format.h>
#include <openjpeg.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string_view>

#include "image/codec.h"
#include "image/grey.h"
#include "image/pixels.h"
#include "image/samples.h"

namespace multimeditron {
namespace {

const char* const kKind = "JPEG 2000";

/// Big-endian numbers at places that may lie outside.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size(); }
  uint64_t number(size_t at, size_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) throw truncated_image(kKind, "end of data within its header");
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | std::to_integer<uint64_t>(bytes_[at + i]);
    return value;
  }
  std::span<const std::byte> from(size_t at) const { return bytes_.subspan(std::min(at, bytes_.size())); }

 private:
  std::span<const std::byte> bytes_;
};

bool is_codestream(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "\xff\x4f\xff\x51", 4) == 0;
}

constexpr int kMostComponents = 4;

/// The codestream in the boxes of a JP2 file. Throws UserError also for a palette before it whose colours have more components than are
/// read: OpenJPEG makes each of them as large as the image.
std::span<const std::byte> find_codestream(std::span<const std::byte> file) {
  constexpr uint64_t kHeader = 0x6a703268, kPalette = 0x70636c72, kCodestream = 0x6a703263;  // "jp2h", "pclr", "jp2c"
  if (is_codestream(file)) return file;
  const Bytes bytes(file);
  size_t end_of_header = 0;
  for (size_t at = 0; at < file.size();) {
    uint64_t length = bytes.number(at, 4), header = 8;
    const uint64_t type = bytes.number(at + 4, 4);
    if (length == 1) {
      length = bytes.number(at + 8, 8);
      header = 16;
    }
    if (length == 0) length = file.size() - at;
    if (length < header) throw corrupt_image(kKind, "a box that is shorter than its header");
    if (type == kCodestream && at >= end_of_header) {
      const std::span<const std::byte> content = bytes.from(at + header), stream = content.first(std::min(content.size(), length - header));
      if (!is_codestream(stream)) throw corrupt_image(kKind, "its codestream does not begin as one");
      return stream;
    }
    if (type == kPalette && bytes.number(at + header + 2, 1) > kMostComponents)
      throw unsupported_image("a JPEG 2000 image with a palette of more than four components", "convert it to PNG");
    if (length > file.size() - at) break;
    if (type == kHeader) end_of_header = at + length;
    at += type == kHeader ? header : length;  // the header's boxes lie within it
  }
  throw truncated_image(kKind, "no codestream in its boxes");
}

/// What a codestream's header claims, looked at before OpenJPEG takes memory for it.
class Claims {
 public:
  explicit Claims(std::span<const std::byte> stream) : bytes_(stream) {
    const uint64_t segment = bytes_.number(4, 2);
    const uint64_t x = bytes_.number(8, 4), y = bytes_.number(12, 4), x0 = bytes_.number(16, 4), y0 = bytes_.number(20, 4);
    tile_width_ = bytes_.number(24, 4), tile_height_ = bytes_.number(28, 4);
    const uint64_t tile_x0 = bytes_.number(32, 4), tile_y0 = bytes_.number(36, 4);
    components_ = bytes_.number(40, 2);
    if (x <= x0 || y <= y0 || tile_width_ == 0 || tile_height_ == 0 || tile_x0 > x0 || tile_y0 > y0 || segment != 38 + 3 * components_) {
      throw corrupt_image(kKind, "sizes in its header that cannot be");
    }
    width_ = x - x0, height_ = y - y0;
    tiles_ = static_cast<double>((x - tile_x0 + tile_width_ - 1) / tile_width_) *
             static_cast<double>((y - tile_y0 + tile_height_ - 1) / tile_height_);
    tile_width_ = std::min(tile_width_, width_), tile_height_ = std::min(tile_height_, height_);
    for (uint64_t i = 0; i < components_; ++i) {
      if (bytes_.number(42 + 3 * i + 1, 1) == 0 || bytes_.number(42 + 3 * i + 2, 1) == 0)
        throw corrupt_image(kKind, "a component without a size");
    }
    first_marker_ = 4 + segment;
  }

  int64_t width() const { return static_cast<int64_t>(width_); }
  int64_t height() const { return static_cast<int64_t>(height_); }
  int64_t components() const { return static_cast<int64_t>(components_); }
  int64_t bits() const { return static_cast<int64_t>(bytes_.number(42, 1) & 0x7f) + 1; }

  /// A tile, a packet and a code block each take memory, and each costs bytes of the file. Throws UserError where it claims more than its
  /// bytes can hold.
  void check() const {
    constexpr double kTileHeader = 14;
    if (tiles_ > static_cast<double>(bytes_.size()) / kTileHeader + 1)
      throw truncated_image(kKind, fmt::format("{} tiles in {} bytes", tiles_, bytes_.size()));
    for (size_t at = first_marker_; at + 4 <= bytes_.size();) {
      const uint64_t marker = bytes_.number(at, 2), length = bytes_.number(at + 2, 2);
      if (marker == kSot) {
        const size_t end = check_tile_part(at);
        if (end <= at) return;  // the last one: it goes on to the end
        at = end;
        continue;
      }
      if (marker < 0xff00 || marker == kEoc || length < 2) return;
      check_style(marker, at);
      at += 2 + length;
    }
  }

 private:
  static constexpr uint64_t kSot = 0xff90, kSod = 0xff93, kEoc = 0xffd9, kCod = 0xff52, kCoc = 0xff53;

  size_t check_tile_part(size_t start) const {
    if (start + 12 > bytes_.size()) return 0;
    const uint64_t length = bytes_.number(start + 6, 4), end = length == 0 ? UINT64_MAX : start + length;
    for (size_t at = start + 12; at + 4 <= bytes_.size() && at < end;) {
      const uint64_t marker = bytes_.number(at, 2), segment = bytes_.number(at + 2, 2);
      if (marker == kSod || marker < 0xff00 || segment < 2) break;
      check_style(marker, at);
      at += 2 + segment;
      if (at > end) throw corrupt_image(kKind, "a tile's header that is longer than its tile");
    }
    return length == 0 ? 0 : end;
  }

  /// COD and COC: layers, sizes of code blocks and precincts.
  void check_style(uint64_t marker, size_t at) const {
    if (marker != kCod && marker != kCoc) return;
    const bool is_cod = marker == kCod;
    const size_t style = at + (is_cod ? 4 : components_ < 257 ? 5 : 6);
    const uint64_t flags = bytes_.number(style, 1), layers = is_cod ? bytes_.number(style + 2, 2) : 1;
    const size_t transform = style + (is_cod ? 5 : 1);
    const uint64_t levels = bytes_.number(transform, 1);
    const uint64_t block_width = bytes_.number(transform + 1, 1) + 2, block_height = bytes_.number(transform + 2, 1) + 2;
    if (levels > 32 || block_width > 10 || block_height > 10 || block_width + block_height > 12)
      throw corrupt_image(kKind, "a coding style that cannot be");
    const double tiles = tiles_ * static_cast<double>(components_);
    double precincts = 0, blocks = 0;  // whose products may pass 64 bits
    for (uint64_t level = 0; level <= levels; ++level) {
      const uint64_t size = (flags & 1) != 0 ? bytes_.number(transform + 5 + level, 1) : 0xff;
      const uint64_t across = shifted(tile_width_, levels - level), down = shifted(tile_height_, levels - level);
      precincts += area(across, size & 15, down, size >> 4);
      blocks += area(across, std::min<uint64_t>(block_width, size & 15), down, std::min<uint64_t>(block_height, size >> 4));
    }
    // An empty packet is a byte. Blocks without data cost next to nothing where many are empty, so they have some for free.
    constexpr double kFreePackets = 1 << 12, kFreeBlocks = 1 << 21;
    const double packets = precincts * tiles * static_cast<double>(layers), size_bytes = static_cast<double>(bytes_.size());
    if (packets > 4 * (kFreePackets + size_bytes)) throw truncated_image(kKind, fmt::format("{} packets in {} bytes", packets, size_bytes));
    if (blocks * tiles > 4 * (kFreeBlocks + 8 * size_bytes))
      throw truncated_image(kKind, fmt::format("{} code blocks in {} bytes", blocks * tiles, size_bytes));
  }

  static uint64_t shifted(uint64_t size, uint64_t by) { return by > 32 ? 1 : (size + (uint64_t{1} << by) - 1) >> by; }
  /// Cells of 2^a x 2^b that an area touches, wherever it begins.
  static double area(uint64_t width, uint64_t a, uint64_t height, uint64_t b) {
    return static_cast<double>(shifted(width, a) + 1) * static_cast<double>(shifted(height, b) + 1);
  }

  Bytes bytes_;
  uint64_t width_, height_, tile_width_, tile_height_, components_;
  double tiles_;  // whose number may pass 64 bits
  size_t first_marker_;
};

struct Decoded {
  int64_t width = 0, height = 0;
  OPJ_COLOR_SPACE colour_space = OPJ_CLRSPC_UNSPECIFIED;
  std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)> image{nullptr, &opj_image_destroy};

  int components() const { return static_cast<int>(image->numcomps); }
  const opj_image_comp_t& component(int c) const { return image->comps[c]; }
  /// The samples of row `y`: component `c` at full size, its nearest sample to the left and above repeated where it has fewer.
  void row(int c, int64_t y, std::span<int32_t> out) const {
    const opj_image_comp_t& from = component(c);
    const int64_t top = (static_cast<int64_t>(image->y0) + y) / from.dy - from.y0;
    const int32_t* line = from.data + std::clamp<int64_t>(top, 0, from.h - 1) * from.w;
    if (from.dx == 1) {
      std::copy_n(line, out.size(), out.begin());
      return;
    }
    for (size_t x = 0; x < out.size(); ++x) {
      const int64_t left = (static_cast<int64_t>(image->x0) + static_cast<int64_t>(x)) / from.dx - from.x0;
      out[x] = line[std::clamp<int64_t>(left, 0, from.w - 1)];
    }
  }
};

/// Where OpenJPEG reads: a view of the bytes and a place in it.
struct Source {
  std::span<const std::byte> bytes;
  size_t at = 0;
};

opj_stream_t* open_stream(Source& source) {
  opj_stream_t* stream = opj_stream_default_create(OPJ_TRUE);
  if (stream == nullptr) throw std::bad_alloc();
  opj_stream_set_user_data(stream, &source, nullptr);
  opj_stream_set_user_data_length(stream, source.bytes.size());
  opj_stream_set_read_function(stream, [](void* out, OPJ_SIZE_T count, void* user) -> OPJ_SIZE_T {
    auto& from = *static_cast<Source*>(user);
    const size_t step = std::min<size_t>(count, from.bytes.size() - from.at);
    if (step == 0) return static_cast<OPJ_SIZE_T>(-1);
    std::memcpy(out, from.bytes.data() + from.at, step);
    from.at += step;
    return step;
  });
  opj_stream_set_skip_function(stream, [](OPJ_OFF_T count, void* user) -> OPJ_OFF_T {
    auto& from = *static_cast<Source*>(user);
    if (count < 0) return -1;
    const auto step = std::min<OPJ_OFF_T>(count, static_cast<OPJ_OFF_T>(from.bytes.size() - from.at));
    from.at += static_cast<size_t>(step);
    return step == count ? count : -1;
  });
  opj_stream_set_seek_function(stream, [](OPJ_OFF_T place, void* user) -> OPJ_BOOL {
    auto& from = *static_cast<Source*>(user);
    if (place < 0 || static_cast<size_t>(place) > from.bytes.size()) return OPJ_FALSE;
    from.at = static_cast<size_t>(place);
    return OPJ_TRUE;
  });
  return stream;
}

/// OpenJPEG's first complaint, as one line.
void keep_first(const char* message, void* user) {
  auto& kept = *static_cast<std::string*>(user);
  if (!kept.empty()) return;
  kept = message;
  while (!kept.empty() && (kept.back() == '\n' || kept.back() == '\r' || kept.back() == '.')) kept.pop_back();
}

Decoded decode(std::span<const std::byte> bytes) {
  Source source{bytes};
  const std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)> stream(open_stream(source), &opj_stream_destroy);
  const std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)> codec(
      opj_create_decompress(is_codestream(bytes) ? OPJ_CODEC_J2K : OPJ_CODEC_JP2), &opj_destroy_codec);
  if (codec == nullptr) throw std::bad_alloc();
  std::string complaint;
  opj_set_error_handler(codec.get(), &keep_first, &complaint);
  opj_dparameters_t parameters;
  opj_set_default_decoder_parameters(&parameters);

  Decoded decoded;
  opj_image_t* image = nullptr;
  bool is_whole = opj_setup_decoder(codec.get(), &parameters) && opj_read_header(stream.get(), codec.get(), &image);
  decoded.image.reset(image);
  is_whole = is_whole && opj_decode(codec.get(), stream.get(), image) && opj_end_decompress(codec.get(), stream.get());
  if (!is_whole) {
    const std::string detail = complaint.empty() ? "OpenJPEG refuses it" : "OpenJPEG: " + complaint;
    throw has_end_mark(find_codestream(bytes)) ? corrupt_image(kKind, detail) : truncated_image(kKind, detail);
  }
  if (image->x1 <= image->x0 || image->y1 <= image->y0 || image->numcomps == 0) throw corrupt_image(kKind, "no pixels in it");
  decoded.width = static_cast<int64_t>(image->x1) - image->x0;
  decoded.height = static_cast<int64_t>(image->y1) - image->y0;
  decoded.colour_space = image->color_space;
  for (int c = 0; c < decoded.components(); ++c) {
    const opj_image_comp_t& component = decoded.component(c);
    const bool is_full = component.dx != 1 || static_cast<int64_t>(component.w) >= decoded.width;
    if (component.data == nullptr || component.w == 0 || component.h == 0 || component.dx == 0 || component.dy == 0 || !is_full)
      throw corrupt_image(kKind, "a component without pixels");
  }
  return decoded;
}

/// A component's values as bytes, as Pillow widens and rounds them: fewer than 8 bits are shifted up.
uint8_t to_byte(int32_t value, const opj_image_comp_t& component) {
  const auto bits = static_cast<int>(component.prec);
  int64_t shifted = value + (component.sgnd != 0 ? int64_t{1} << (bits - 1) : 0);
  shifted = bits <= 8 ? shifted << (8 - bits) : (shifted + (int64_t{1} << (bits - 9))) >> (bits - 8);
  return static_cast<uint8_t>(std::clamp<int64_t>(shifted, 0, 255));
}

/// Pillow's conversion: products in 64ths, rounded as its tables are.
class SyccToRgb {
 public:
  SyccToRgb() {
    for (size_t i = 0; i < 256; ++i) {
      const auto product = [&](double factor) { return static_cast<int>(factor * (static_cast<double>(i) - 128) * 64 + 0.5); };
      red_[i] = product(1.402);
      green_of_blue_[i] = product(-0.34414);
      green_of_red_[i] = product(-0.71414);
      blue_[i] = product(1.772);
    }
  }
  void operator()(uint8_t* pixel) const {
    const int y = pixel[0], cb = pixel[1], cr = pixel[2];
    const auto clipped = [](int value) { return static_cast<uint8_t>(std::clamp(value, 0, 255)); };
    pixel[0] = clipped(y + (red_[cr] >> 6));
    pixel[1] = clipped(y + ((green_of_blue_[cb] + green_of_red_[cr]) >> 6));
    pixel[2] = clipped(y + (blue_[cb] >> 6));
  }

 private:
  std::array<int, 256> red_, green_of_blue_, green_of_red_, blue_;
};

}  // namespace

RgbImage decode_jpeg2000(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const Claims claims(find_codestream(bytes));
  check_image_size(claims.width(), claims.height(), options);
  if (claims.components() < 1 || claims.components() > kMostComponents)
    throw unsupported_image(fmt::format("a JPEG 2000 image with {} components", claims.components()), "convert it to PNG");
  claims.check();
  const Decoded decoded = decode(bytes);
  check_image_size(decoded.width, decoded.height, options);
  if (decoded.colour_space == OPJ_CLRSPC_CMYK || decoded.colour_space == OPJ_CLRSPC_EYCC)
    throw unsupported_image("a JPEG 2000 image in CMYK or e-YCC", "convert it to PNG");
  const int components = decoded.components() >= 3 ? 3 : 1;  // a second or fourth one is alpha
  for (int c = 0; c < components; ++c) {
    if (decoded.component(c).prec < 1 || decoded.component(c).prec > 31)
      throw unsupported_image(fmt::format("a JPEG 2000 image of {} bits", decoded.component(c).prec), "convert it to PNG");
  }

  RgbImage image{decoded.width, decoded.height, {}};
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  // Pillow reads one component of more than 8 bits as 16-bit grey.
  const bool is_sixteen_bit_grey = decoded.components() == 1 && decoded.component(0).prec > 8;
  const bool has_window = is_sixteen_bit_grey && has_own_rule(options.volume);
  const bool clips = options.sixteen_bit == SixteenBit::kClip;
  image.is_from_sixteen_bit_grey = is_sixteen_bit_grey && !clips && !has_window;
  std::vector<uint16_t> values;
  const SyccToRgb to_rgb;
  std::vector<int32_t> row(static_cast<size_t>(image.width));
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* pixels = image.pixels.data() + y * image.width * 3;
    for (int c = 0; c < components; ++c) {
      const opj_image_comp_t& component = decoded.component(c);
      decoded.row(c, y, row);
      for (size_t x = 0; x < row.size(); ++x) {
        if (is_sixteen_bit_grey) {
          const int64_t unsigned_value = row[x] + (component.sgnd != 0 ? int64_t{1} << (component.prec - 1) : 0);
          const auto bits = static_cast<int>(component.prec);
          const int64_t sixteen = bits <= 16 ? unsigned_value << (16 - bits) : unsigned_value >> (bits - 16);
          if (has_window) values.push_back(static_cast<uint16_t>(std::clamp<int64_t>(bits <= 16 ? unsigned_value : sixteen, 0, 65535)));
          pixels[3 * x] = sixteen_to_eight(static_cast<uint32_t>(std::clamp<int64_t>(sixteen, 0, 65535)), clips);
        } else {
          pixels[3 * x + static_cast<size_t>(c)] = to_byte(row[x], component);
        }
      }
    }
    for (size_t x = 0; x < row.size(); ++x) {
      if (components == 1) std::memset(pixels + 3 * x + 1, pixels[3 * x], 2);
      if (components == 3 && decoded.colour_space == OPJ_CLRSPC_SYCC) to_rgb(pixels + 3 * x);
    }
  }
  if (has_window) image.pixels = sixteen_bit_grey_to_rgb(values, options.volume);
  return image;
}

Samples decode_jpeg2000_samples(std::span<const std::byte> bytes, const ExpectedSize& expected) {
  const std::span<const std::byte> stream = find_codestream(bytes);
  const Claims claims(stream);
  if (claims.width() != expected.width || claims.height() != expected.height || claims.components() != expected.components)
    throw other_size(kKind);
  if (claims.bits() > 31) throw unsupported_image("JPEG 2000 data of more than 31 bits", "convert it to PNG");
  claims.check();
  const Decoded decoded = decode(stream);  // boxes around it would say what the file says better
  if (decoded.width != expected.width || decoded.height != expected.height || decoded.components() != expected.components)
    throw other_size(kKind);
  Samples samples{.width = decoded.width,
                  .height = decoded.height,
                  .components = decoded.components(),
                  .bits = static_cast<int>(decoded.component(0).prec),
                  .is_signed = decoded.component(0).sgnd != 0,
                  .values = {}};
  const auto components = static_cast<size_t>(samples.components);
  samples.values.resize(static_cast<size_t>(samples.width * samples.height) * components);
  std::vector<int32_t> row(static_cast<size_t>(samples.width));
  for (int64_t y = 0; y < samples.height; ++y) {
    int32_t* out = samples.values.data() + static_cast<size_t>(y) * row.size() * components;
    for (size_t c = 0; c < components; ++c) {
      decoded.row(static_cast<int>(c), y, row);
      for (size_t x = 0; x < row.size(); ++x) out[x * components + c] = row[x];
    }
  }
  return samples;
}

}  // namespace multimeditron
