#include <fmt/format.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
// jpeglib.h needs size_t and FILE from the headers above.
#include <jerror.h>
#include <jpeglib.h>

#include "image/codec.h"
#include "image/pixels.h"
#include "image/samples.h"

namespace multimeditron {
namespace {

/// libjpeg-turbo over bytes in memory. libjpeg reports errors by a callback that must not return: here it jumps back into the method
/// that called it, so those methods hold no object with a destructor.
class JpegReader {
 public:
  explicit JpegReader(std::span<const std::byte> bytes) {
    cinfo_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr cinfo) {
      auto* self = static_cast<JpegReader*>(cinfo->client_data);
      cinfo->err->format_message(cinfo, self->message_);
      std::longjmp(self->jump_, 1);
    };
    errors_.output_message = [](j_common_ptr) {};
    // The end of the image within a scan would leave the rest grey. Other warnings are borne, as Pillow does.
    errors_.emit_message = [](j_common_ptr cinfo, int level) {
      const bool is_at_end = reinterpret_cast<j_decompress_ptr>(cinfo)->unread_marker == JPEG_EOI;
      if (level >= 0 || cinfo->err->msg_code != JWRN_HIT_MARKER || !is_at_end) return;
      static_cast<JpegReader*>(cinfo->client_data)->is_truncated_ = true;
      cinfo->err->error_exit(cinfo);
    };
    cinfo_.client_data = this;
    jpeg_create_decompress(&cinfo_);
    cinfo_.client_data = this;

    source_.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
    source_.bytes_in_buffer = bytes.size();
    source_.init_source = [](j_decompress_ptr) {};
    source_.term_source = [](j_decompress_ptr) {};
    source_.resync_to_restart = jpeg_resync_to_restart;
    source_.fill_input_buffer = [](j_decompress_ptr cinfo) -> boolean {
      static_cast<JpegReader*>(cinfo->client_data)->is_truncated_ = true;
      ERREXIT(cinfo, JERR_INPUT_EOF);
      return FALSE;
    };
    source_.skip_input_data = [](j_decompress_ptr cinfo, long count) {
      if (count <= 0) return;
      jpeg_source_mgr* source = cinfo->src;
      const size_t step = std::min<size_t>(static_cast<size_t>(count), source->bytes_in_buffer);
      source->next_input_byte += step;
      source->bytes_in_buffer -= step;
    };
    cinfo_.src = &source_;

    progress_.progress_monitor = [](j_common_ptr cinfo) {
      if (cinfo->is_decompressor != FALSE && reinterpret_cast<j_decompress_ptr>(cinfo)->input_scan_number > kMaxScans) {
        static_cast<JpegReader*>(cinfo->client_data)->has_too_many_scans_ = true;
        ERREXIT(cinfo, JERR_BAD_PROGRESSION);
      }
    };
    cinfo_.progress = &progress_;
  }
  ~JpegReader() { jpeg_destroy_decompress(&cinfo_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool read_header() {
    if (setjmp(jump_) != 0) return false;
    jpeg_read_header(&cinfo_, TRUE);
    return true;
  }

  /// Rows then hold grey, RGB or inverted CMYK, or the file's own components where colours are not converted, and width() and height() are
  /// those of the reduced image.
  bool start(int divisor, bool converts_colours = true) {
    if (setjmp(jump_) != 0) return false;
    cinfo_.scale_num = 1;
    cinfo_.scale_denom = static_cast<unsigned>(divisor);
    cinfo_.out_color_space = !converts_colours            ? cinfo_.jpeg_color_space
                             : cinfo_.num_components == 1 ? JCS_GRAYSCALE
                             : cinfo_.num_components == 3 ? JCS_RGB
                                                          : JCS_CMYK;
    cinfo_.dct_method = JDCT_ISLOW;
    cinfo_.do_fancy_upsampling = TRUE;
    jpeg_start_decompress(&cinfo_);
    is_started_ = true;
    return true;
  }

  bool read_row(uint8_t* row) {
    if (setjmp(jump_) != 0) return false;
    JSAMPROW rows[1] = {row};
    jpeg_read_scanlines(&cinfo_, rows, 1);
    return true;
  }

  int64_t width() const { return is_started_ ? cinfo_.output_width : cinfo_.image_width; }
  int64_t height() const { return is_started_ ? cinfo_.output_height : cinfo_.image_height; }
  int num_components() const { return cinfo_.num_components; }

  /// 8x8 blocks of all components. Each costs at least one bit of Huffman code; arithmetic coding has no such bound.
  int64_t num_blocks() const {
    int64_t blocks = 0;
    for (int i = 0; i < cinfo_.num_components; ++i) {
      blocks += static_cast<int64_t>(cinfo_.comp_info[i].width_in_blocks) * cinfo_.comp_info[i].height_in_blocks;
    }
    return blocks;
  }
  bool is_arithmetic() const { return cinfo_.arith_code != FALSE; }

  UserError error() const {
    if (is_truncated_) return truncated_image("JPEG", "end of data before the end of the image");
    if (has_too_many_scans_) return corrupt_image("JPEG", fmt::format("more than {} scans", kMaxScans));
    if (errors_.msg_code == JERR_SOF_UNSUPPORTED || errors_.msg_code == JERR_BAD_PRECISION) {
      return unsupported_image(fmt::format("a JPEG of a rare kind ({})", message_), "convert it to PNG or a baseline JPEG");
    }
    return corrupt_image("JPEG", message_);
  }

 private:
  jpeg_decompress_struct cinfo_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr source_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_;
  char message_[JMSG_LENGTH_MAX] = "";
  bool is_started_ = false, is_truncated_ = false, has_too_many_scans_ = false;
};

/// libjpeg-turbo into memory; its errors jump back into encode() as the reader's do.
class JpegWriter {
 public:
  JpegWriter() {
    cinfo_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr cinfo) {
      auto* self = static_cast<JpegWriter*>(cinfo->client_data);
      cinfo->err->format_message(cinfo, self->message_);
      std::longjmp(self->jump_, 1);
    };
    errors_.output_message = [](j_common_ptr) {};
    jpeg_create_compress(&cinfo_);
    cinfo_.client_data = this;
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&cinfo_);
    std::free(buffer_);
  }
  JpegWriter(const JpegWriter&) = delete;
  JpegWriter& operator=(const JpegWriter&) = delete;

  /// `samples`: [height, width, components], components 1 (grey) or 3 (RGB).
  bool encode(const uint8_t* samples, int64_t width, int64_t height, int components, int quality) {
    if (setjmp(jump_) != 0) return false;
    jpeg_mem_dest(&cinfo_, &buffer_, &size_);
    cinfo_.image_width = static_cast<JDIMENSION>(width);
    cinfo_.image_height = static_cast<JDIMENSION>(height);
    cinfo_.input_components = components;
    cinfo_.in_color_space = components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&cinfo_);
    jpeg_set_quality(&cinfo_, quality, TRUE);
    cinfo_.dct_method = JDCT_ISLOW;
    cinfo_.optimize_coding = TRUE;  // Huffman tables of this image: smaller by some percent, the same pixels
    jpeg_start_compress(&cinfo_, TRUE);
    while (cinfo_.next_scanline < cinfo_.image_height) {
      JSAMPROW rows[1] = {const_cast<JSAMPROW>(samples + static_cast<int64_t>(cinfo_.next_scanline) * width * components)};
      jpeg_write_scanlines(&cinfo_, rows, 1);
    }
    jpeg_finish_compress(&cinfo_);
    return true;
  }

  std::string bytes() const { return {reinterpret_cast<const char*>(buffer_), size_}; }
  const char* message() const { return message_; }

 private:
  jpeg_compress_struct cinfo_{};
  jpeg_error_mgr errors_{};
  unsigned char* buffer_ = nullptr;  // libjpeg allocates it with malloc and leaves it to its caller
  unsigned long size_ = 0;
  std::jmp_buf jump_;
  char message_[JMSG_LENGTH_MAX] = "";
};

/// The largest of 8, 4 and 2 that the image may be divided by.
int reduction(int64_t width, int64_t height, const DecodeOptions& options) {
  if (options.enough_width <= 0 || options.enough_height <= 0) return 1;
  for (const int divisor : {8, 4, 2}) {
    if (width / divisor >= options.enough_width && height / divisor >= options.enough_height) return divisor;
  }
  return 1;
}

/// Before any memory is taken: a few bytes cannot hold a huge image.
void require_room(const JpegReader& reader, std::span<const std::byte> bytes) {
  if (reader.is_arithmetic() || reader.num_blocks() <= static_cast<int64_t>(bytes.size()) * 8) return;
  throw truncated_image("JPEG", fmt::format("{} bytes for {} x {} pixels", bytes.size(), reader.width(), reader.height()));
}

}  // namespace

RgbImage decode_jpeg(std::span<const std::byte> bytes, const DecodeOptions& options) {
  JpegReader reader(bytes);
  if (!reader.read_header()) throw reader.error();
  check_image_size(reader.width(), reader.height(), options);
  const int components = reader.num_components();
  if (components != 1 && components != 3 && components != 4) {
    throw unsupported_image(fmt::format("a JPEG with {} components", components), "convert it to PNG");
  }
  require_room(reader, bytes);
  if (!reader.start(reduction(reader.width(), reader.height(), options))) throw reader.error();

  RgbImage image{reader.width(), reader.height(), {}};
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  std::vector<uint8_t> row(components == 3 ? 0 : static_cast<size_t>(image.width * components));
  for (int64_t y = 0; y < image.height; ++y) {
    uint8_t* rgb = image.pixels.data() + y * image.width * 3;
    if (!reader.read_row(components == 3 ? rgb : row.data())) throw reader.error();
    if (components == 1) {
      grey_to_rgb(row.data(), image.width, rgb);
    } else if (components == 4) {
      cmyk_to_rgb(row.data(), image.width, true, rgb);  // Pillow takes the values as inverted, Adobe's marker or not
    }
  }
  return image;
}

Samples decode_jpeg_samples(std::span<const std::byte> bytes, const ExpectedSize& expected) {
  JpegReader reader(bytes);
  if (!reader.read_header()) throw reader.error();
  if (reader.width() != expected.width || reader.height() != expected.height || reader.num_components() != expected.components)
    throw other_size("JPEG");
  require_room(reader, bytes);
  if (!reader.start(1, /*converts_colours=*/false)) throw reader.error();
  Samples samples{.width = reader.width(), .height = reader.height(), .components = reader.num_components(), .values = {}};
  const auto stride = static_cast<size_t>(samples.width * samples.components);
  samples.values.reserve(stride * static_cast<size_t>(samples.height));
  std::vector<uint8_t> row(stride);
  for (int64_t y = 0; y < samples.height; ++y) {
    if (!reader.read_row(row.data())) throw reader.error();
    samples.values.insert(samples.values.end(), row.begin(), row.end());
  }
  return samples;
}

std::string encode_jpeg(const RgbImage& image, int quality) {
  if (image.width > JPEG_MAX_DIMENSION || image.height > JPEG_MAX_DIMENSION) {
    throw UserError("too large an image for a JPEG",
                    {.found = fmt::format("{} x {} pixels; at most {} a side", image.width, image.height, JPEG_MAX_DIMENSION),
                     .fix = "write it as PNG"});
  }
  std::vector<uint8_t> grey;
  bool is_grey = true;
  for (size_t i = 0; is_grey && i < image.pixels.size(); i += 3) {
    is_grey = image.pixels[i] == image.pixels[i + 1] && image.pixels[i] == image.pixels[i + 2];
  }
  if (is_grey) {
    grey.reserve(image.pixels.size() / 3);
    for (size_t i = 0; i < image.pixels.size(); i += 3) grey.push_back(image.pixels[i]);
  }
  JpegWriter writer;
  if (!writer.encode(is_grey ? grey.data() : image.pixels.data(), image.width, image.height, is_grey ? 1 : 3, quality)) {
    throw UserError("cannot encode an image as JPEG", {.found = writer.message()});
  }
  return writer.bytes();
}

}  // namespace multimeditron
