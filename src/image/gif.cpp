#include <fmt/format.h>
#include <gif_lib.h>

#include <cstring>
#include <memory>
#include <vector>

#include "image/codec.h"
#include "image/pixels.h"

namespace multimeditron {
namespace {

/// A code of 12 bits unfolds to at most 4096 pixels.
constexpr int64_t kMaxPixelsPerByte = 4096;

/// giflib over bytes in memory.
class GifReader {
 public:
  explicit GifReader(std::span<const std::byte> bytes) : bytes_(bytes) {
    int code = 0;
    gif_.reset(DGifOpen(this, &on_read, &code));
    if (gif_ == nullptr) throw error(code);
  }

  int64_t width() const { return gif_->SWidth; }
  int64_t height() const { return gif_->SHeight; }
  const GifImageDesc& frame() const { return gif_->Image; }
  /// What the part of the canvas without a frame is filled with.
  uint8_t transparent_index() const { return transparent_index_; }

  /// Reads up to the first frame's pixels.
  void find_frame() {
    for (;;) {
      GifRecordType record = UNDEFINED_RECORD_TYPE;
      check(DGifGetRecordType(gif_.get(), &record));
      if (record == IMAGE_DESC_RECORD_TYPE) return check(DGifGetImageDesc(gif_.get()));
      if (record == TERMINATE_RECORD_TYPE) throw corrupt_image("GIF", "no frame");
      int kind = 0;
      GifByteType* block = nullptr;
      check(DGifGetExtension(gif_.get(), &kind, &block));
      for (; block != nullptr; check(DGifGetExtensionNext(gif_.get(), &block))) {
        const bool has_index = kind == GRAPHICS_EXT_FUNC_CODE && block[0] >= 4 && (block[1] & 1) != 0;
        if (has_index) transparent_index_ = block[4];
      }
    }
  }

  /// The frame's own, else the file's. As Pillow does, the file's also where the frame's holds nothing but its own indices.
  Palette palette() const {
    Palette own{};
    const size_t count = copy(gif_->Image.ColorMap, own);
    if (count > 0 && !is_grey(own, count)) return own;
    Palette shared{};
    fill_grey(shared, copy(gif_->SColorMap, shared));
    return shared;
  }

  void read_line(uint8_t* indices) { check(DGifGetLine(gif_.get(), indices, gif_->Image.Width)); }

 private:
  struct Close {
    void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
  };

  static size_t copy(const ColorMapObject* colours, Palette& palette) {
    const auto count = static_cast<size_t>(colours != nullptr ? std::min(colours->ColorCount, 256) : 0);
    for (size_t i = 0; i < count; ++i) palette[i] = {colours->Colors[i].Red, colours->Colors[i].Green, colours->Colors[i].Blue};
    return count;
  }

  UserError error(int code) const {
    const char* text = GifErrorString(code);
    const std::string detail = text != nullptr ? text : fmt::format("giflib's error {}", code);
    return is_truncated_ ? truncated_image("GIF", detail) : corrupt_image("GIF", detail);
  }
  void check(int result) const {
    if (result != GIF_OK) throw error(gif_->Error);
  }
  /// A single byte past the end is a zero, which ends a list of blocks: a whole frame without its end mark is whole.
  static int on_read(GifFileType* gif, GifByteType* out, int count) {
    auto* self = static_cast<GifReader*>(gif->UserData);
    const size_t available = std::min(static_cast<size_t>(count), self->bytes_.size() - self->offset_);
    std::memcpy(out, self->bytes_.data() + self->offset_, available);
    self->offset_ += available;
    if (available == static_cast<size_t>(count)) return count;
    self->is_truncated_ = true;
    if (count != 1) return static_cast<int>(available);
    *out = 0;
    return 1;
  }

  std::span<const std::byte> bytes_;
  size_t offset_ = 0;
  bool is_truncated_ = false;
  uint8_t transparent_index_ = 0;
  std::unique_ptr<GifFileType, Close> gif_;
};

}  // namespace

// The first frame on the canvas, which grows where the frame leaves it.
RgbImage decode_gif(std::span<const std::byte> bytes, const DecodeOptions& options) {
  GifReader reader(bytes);
  check_image_size(reader.width(), reader.height(), options);
  reader.find_frame();
  const GifImageDesc& frame = reader.frame();
  const int64_t width = std::max<int64_t>(reader.width(), int64_t{frame.Left} + frame.Width);
  const int64_t height = std::max<int64_t>(reader.height(), int64_t{frame.Top} + frame.Height);
  check_image_size(width, height, options);
  if (width == 0 || height == 0) throw corrupt_image("GIF", fmt::format("{} x {} pixels", width, height));
  if (int64_t{frame.Width} * frame.Height / kMaxPixelsPerByte > static_cast<int64_t>(bytes.size())) {
    throw truncated_image("GIF", fmt::format("{} bytes for {} x {} pixels", bytes.size(), frame.Width, frame.Height));
  }

  std::vector<uint8_t> canvas(static_cast<size_t>(width * height), reader.transparent_index());
  const auto read_line = [&](int64_t y) { reader.read_line(canvas.data() + (frame.Top + y) * width + frame.Left); };
  if (frame.Interlace) {
    for (const auto& [first, step] : {std::pair(0, 8), {4, 8}, {2, 4}, {1, 2}}) {
      for (int64_t y = first; y < frame.Height; y += step) read_line(y);
    }
  } else {
    for (int64_t y = 0; y < frame.Height; ++y) read_line(y);
  }
  RgbImage image{width, height, std::vector<uint8_t>(canvas.size() * 3)};
  palette_to_rgb(canvas.data(), width * height, reader.palette(), image.pixels.data());
  return image;
}

}  // namespace multimeditron
