#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "image/codec.h"
#include "image/grey.h"
#include "image/inflate.h"
#include "image/pixels.h"

namespace multimeditron {
namespace {

/// libpng's row interface over bytes in memory. Its errors jump back into the method that called it, so those methods hold no object with a
/// destructor. Alpha is dropped, 16 bits become the high byte, gamma and colour profiles are not applied: Pillow's convert("RGB").
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> bytes) : bytes_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &on_error, [](png_structp, png_const_charp) {});
    info_ = png_create_info_struct(png_);
    if (png_ == nullptr || info_ == nullptr) throw std::bad_alloc();
    png_set_read_fn(png_, this, &on_read);
    png_set_user_limits(png_, 0x7fffffff, 0x7fffffff);  // check_image_size decides
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool read_header() {
    if (setjmp(jump_) != 0) return false;
    png_read_info(png_, info_);
    return true;
  }

  /// Rows then hold one palette index a pixel (is_palette), 16-bit grey of which the high byte comes first (`keeps_sixteen`), or RGB.
  bool start(bool keeps_sixteen) {
    if (setjmp(jump_) != 0) return false;
    if (is_palette()) {
      png_set_packing(png_);
    } else if (!keeps_sixteen) {
      if (png_get_bit_depth(png_, info_) < 8) png_set_expand_gray_1_2_4_to_8(png_);
      if (png_get_bit_depth(png_, info_) == 16) png_set_strip_16(png_);
      if ((png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0) png_set_strip_alpha(png_);
      if ((png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) == 0) png_set_gray_to_rgb(png_);
    }
    num_passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  /// All rows, `stride` bytes apart. The chunks after the image are not looked at.
  bool read_rows(uint8_t* pixels, size_t stride) {
    if (setjmp(jump_) != 0) return false;
    for (int pass = 0; pass < num_passes_; ++pass) {
      for (png_uint_32 y = 0; y < png_get_image_height(png_, info_); ++y) png_read_row(png_, pixels + y * stride, nullptr);
    }
    return true;
  }

  Palette palette() const {
    Palette colours{};
    png_colorp entries = nullptr;
    int count = 0;
    png_get_PLTE(png_, info_, &entries, &count);
    for (int i = 0; i < std::min(count, 256); ++i) colours[static_cast<size_t>(i)] = {entries[i].red, entries[i].green, entries[i].blue};
    return colours;
  }

  int64_t width() const { return png_get_image_width(png_, info_); }
  int64_t height() const { return png_get_image_height(png_, info_); }
  bool is_palette() const { return png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE; }
  bool is_sixteen_bit_grey() const {
    return png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png_, info_) == 16;
  }
  /// Bytes that the compressed data must unfold to (interlacing adds a few).
  int64_t unfolded_size() const {
    return height() * (1 + (width() * png_get_channels(png_, info_) * png_get_bit_depth(png_, info_) + 7) / 8);
  }

  UserError error() const { return is_truncated_ ? truncated_image("PNG", message_) : corrupt_image("PNG", message_); }

 private:
  [[noreturn]] static void on_error(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngReader*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof self->message_, "%s", message);
    std::longjmp(self->jump_, 1);
  }
  static void on_read(png_structp png, png_bytep data, size_t size) {
    auto* self = static_cast<PngReader*>(png_get_io_ptr(png));
    if (self->bytes_.size() - self->offset_ < size) {
      self->is_truncated_ = true;
      png_error(png, "end of data before the end of the image");
    }
    std::memcpy(data, self->bytes_.data() + self->offset_, size);
    self->offset_ += size;
  }

  std::span<const std::byte> bytes_;
  size_t offset_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int num_passes_ = 1;
  std::jmp_buf jump_;
  char message_[256] = "";
  bool is_truncated_ = false;
};

}  // namespace

RgbImage decode_png(std::span<const std::byte> bytes, const DecodeOptions& options) {
  PngReader reader(bytes);
  if (!reader.read_header()) throw reader.error();
  check_image_size(reader.width(), reader.height(), options);
  // Before any memory is taken: a few bytes cannot hold a huge image.
  if (reader.unfolded_size() / kMostFolded > static_cast<int64_t>(bytes.size())) {
    throw truncated_image("PNG", fmt::format("{} bytes for {} x {} pixels", bytes.size(), reader.width(), reader.height()));
  }
  const bool is_sixteen_bit_grey = reader.is_sixteen_bit_grey(), is_palette = reader.is_palette();
  const bool has_window = is_sixteen_bit_grey && has_own_rule(options.volume);
  const bool clips = is_sixteen_bit_grey && options.sixteen_bit == SixteenBit::kClip;
  if (!reader.start(clips || has_window)) throw reader.error();

  RgbImage image{reader.width(), reader.height(), {}, is_sixteen_bit_grey && !clips && !has_window};
  const auto count = static_cast<size_t>(image.width * image.height);
  image.pixels.resize(count * 3);
  if (clips || has_window) {
    std::vector<uint8_t> wide(count * 2);
    if (!reader.read_rows(wide.data(), static_cast<size_t>(image.width * 2))) throw reader.error();
    if (has_window) {
      std::vector<uint16_t> values(count);
      for (size_t i = 0; i < count; ++i) values[i] = static_cast<uint16_t>(wide[2 * i] << 8 | wide[2 * i + 1]);
      image.pixels = sixteen_bit_grey_to_rgb(values, options.volume);
      return image;
    }
    for (size_t i = 0; i < count; ++i) {
      std::memset(image.pixels.data() + 3 * i, sixteen_to_eight(static_cast<uint32_t>(wide[2 * i] << 8 | wide[2 * i + 1]), true), 3);
    }
    return image;
  }
  if (!is_palette) {
    if (!reader.read_rows(image.pixels.data(), static_cast<size_t>(image.width * 3))) throw reader.error();
    return image;
  }
  std::vector<uint8_t> indices(count);
  if (!reader.read_rows(indices.data(), static_cast<size_t>(image.width))) throw reader.error();
  palette_to_rgb(indices.data(), image.width * image.height, reader.palette(), image.pixels.data());
  return image;
}

std::string encode_png(const RgbImage& image) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string png(size, '\0');
  if (png_image_write_to_memory(&header, png.data(), &size, 0, image.pixels.data(), 0, nullptr) == 0) {
    throw UserError("cannot encode an image as PNG", {.found = header.message});
  }
  png.resize(size);
  return png;
}

}  // namespace multimeditron
