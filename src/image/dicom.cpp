#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "image/codec.h"
#include "image/dicom_file.h"
#include "image/grey.h"
#include "image/samples.h"

namespace multimeditron {
namespace {

const char* const kKind = "DICOM";
using Codec = DicomSyntax::Codec;

/// The bytes of one frame of encapsulated pixel data; a view where they lie in one fragment.
class FrameBytes {
 public:
  FrameBytes(const DicomFile& file, int64_t frame) {
    const auto [begin, end] = fragments_of(file, static_cast<size_t>(frame));
    if (file.is_cut && end == file.fragments.size()) throw truncated_image(kKind, "end of data within its pixel data");
    if (end - begin == 1) {
      bytes_ = file.fragments[begin];
      return;
    }
    for (size_t i = begin; i < end; ++i) joined_.insert(joined_.end(), file.fragments[i].begin(), file.fragments[i].end());
    bytes_ = joined_;
  }
  FrameBytes(const FrameBytes&) = delete;
  FrameBytes& operator=(const FrameBytes&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  static std::pair<size_t, size_t> fragments_of(const DicomFile& file, size_t frame) {
    const size_t count = file.fragments.size(), frames = static_cast<size_t>(file.frames);
    if (count == 0) throw truncated_image(kKind, "no fragment of pixel data");
    if (file.offsets.size() == frames && frames > 1) {
      const auto find = [&](size_t index) {
        const auto& places = file.fragment_places;
        const auto found = std::lower_bound(places.begin(), places.end(), file.offsets[index]);
        if (found == places.end() || *found != file.offsets[index])
          throw file.is_cut ? truncated_image(kKind, "a frame that begins behind its pixel data")
                            : corrupt_image(kKind, "a frame that begins where no fragment does");
        return static_cast<size_t>(found - places.begin());
      };
      const size_t begin = find(frame), end = frame + 1 < frames ? find(frame + 1) : count;
      if (end <= begin) throw corrupt_image(kKind, "frames in the wrong order");
      return {begin, end};
    }
    if (frames == 1) return {0, count};
    if (count <= frames) {
      if (frame >= count) throw truncated_image(kKind, fmt::format("{} fragments for {} frames", count, frames));
      return {frame, frame + 1};
    }
    // Several fragments a frame and no table: a frame ends with a codestream's end mark, behind which a few bytes may stand.
    size_t begin = 0, index = 0;
    for (size_t i = 0; i < count; ++i) {
      const auto fragment = file.fragments[i];
      bool is_end = i + 1 == count;
      for (size_t k = fragment.size() - std::min<size_t>(fragment.size(), 10); !is_end && k + 1 < fragment.size(); ++k)
        is_end = fragment[k] == std::byte{0xff} && fragment[k + 1] == std::byte{0xd9};
      if (!is_end) continue;
      if (index == frame) return {begin, i + 1};
      ++index;
      begin = i + 1;
    }
    throw truncated_image(kKind, fmt::format("{} frames where {} are named", index, frames));
  }

  std::vector<std::byte> joined_;
  std::span<const std::byte> bytes_;
};

/// One frame's samples, and whether its colours are luminance and chroma.
struct Frame {
  Samples samples;
  bool is_ybr = false;
  std::vector<double> real;  ///< of float pixel data, instead of samples
};

class FrameReader {
 public:
  FrameReader(const DicomFile& file, int64_t frame) : file_(file), frame_(frame) {
    expected_ = {.width = file.columns, .height = file.rows, .components = file.samples_per_pixel};
  }

  Frame read() const {
    const bool is_ybr = file_.photometric.starts_with("YBR_FULL");
    if (!file_.is_encapsulated) {
      if (file_.pixels != DicomFile::Pixels::kWhole) return {.samples = {}, .real = read_real()};
      if (file_.syntax.codec != Codec::kNone) throw corrupt_image(kKind, "compressed pixel data that is not in fragments");
      return {normalised(read_native(), file_.bits_stored, shift()), is_ybr, {}};
    }
    const FrameBytes frame(file_, frame_);
    switch (file_.syntax.codec) {
      case Codec::kNone:
        throw corrupt_image(kKind, "fragments where its transfer syntax has none");
      case Codec::kRle:
        if (file_.bits_allocated == 1) throw unsupported_image("single bits in RLE", "convert it to explicit little endian");
        return {normalised(decode_dicom_rle(frame.bytes(), expected_, file_.bits_allocated), file_.bits_stored, shift()), is_ybr, {}};
      case Codec::kJpeg:
        return read_jpeg(frame.bytes());
      case Codec::kJpegLs: {
        Samples samples = decode_jpeg_ls_samples(frame.bytes(), expected_);
        const int bits = samples.bits;
        return {normalised(std::move(samples), bits, 0), is_ybr, {}};
      }
      case Codec::kJpeg2000: {
        Samples samples = decode_jpeg2000_samples(frame.bytes(), expected_);
        const int bits = samples.bits;
        if (samples.is_signed != file_.is_signed) samples = normalised(std::move(samples), bits, 0);
        return {std::move(samples), is_ybr, {}};
      }
    }
    return {};
  }

 private:
  int shift() const { return std::max(0, file_.high_bit + 1 - file_.bits_stored); }

  /// Takes `bits` bits of each sample, above `shift` others, with the sign that the file says.
  Samples normalised(Samples samples, int bits, int shift) const {
    samples.is_signed = file_.is_signed;
    samples.bits = bits;
    if (bits >= 32) return samples;
    const uint32_t mask = (uint32_t{1} << bits) - 1, sign = uint32_t{1} << (bits - 1);
    for (int32_t& value : samples.values) {
      uint32_t part = (static_cast<uint32_t>(value) >> shift) & mask;
      if (file_.is_signed && (part & sign) != 0) part |= ~mask;
      value = static_cast<int32_t>(part);
    }
    return samples;
  }

  Frame read_jpeg(std::span<const std::byte> bytes) const {
    const JpegHeader header = read_jpeg_header(bytes);
    const bool is_plain = header.process <= 2 && header.bits == 8;
    if (!is_plain && header.process != 1 && header.process != 3)
      throw unsupported_image(fmt::format("a JPEG of a rare kind (SOF{}, {} bits) in a DICOM file", header.process, header.bits),
                              "convert it to explicit little endian");
    Samples samples = is_plain ? decode_jpeg_samples(bytes, expected_) : decode_deep_jpeg_samples(bytes, header, expected_);
    const bool is_ybr =
        header.colour == JpegColour::kYcc || (header.colour == JpegColour::kUnsaid && file_.photometric.starts_with("YBR_FULL"));
    return {normalised(std::move(samples), std::min(file_.bits_stored, 16), 0), is_ybr, {}};
  }

  /// The bytes of the frame, `bits` of them being bits.
  std::span<const std::byte> native_frame(int64_t bits, int64_t& first_bit) const {
    const int64_t held = static_cast<int64_t>(file_.native.size()) * 8 / bits;
    if (frame_ >= held) {
      throw truncated_image(kKind, fmt::format("{} bytes of pixel data, {} whole frame(s) of {} x {} pixels; frame {} is asked for",
                                               file_.native.size(), held, file_.columns, file_.rows, frame_));
    }
    const int64_t begin = frame_ * bits;
    first_bit = begin % 8;
    return file_.native.subspan(static_cast<size_t>(begin / 8), static_cast<size_t>((first_bit + bits + 7) / 8));
  }

  Samples read_native() const {
    Samples samples{.width = file_.columns, .height = file_.rows, .components = file_.samples_per_pixel, .values = {}};
    const int64_t area = file_.rows * file_.columns, count = area * file_.samples_per_pixel;
    const bool is_422 = file_.photometric == "YBR_FULL_422" && file_.samples_per_pixel == 3;
    const int64_t stored = is_422 ? (area + area % 2) * 2 : count;
    int64_t first_bit = 0;
    const auto bytes = native_frame(stored * file_.bits_allocated, first_bit);
    samples.values.resize(static_cast<size_t>(count));
    const int64_t width = file_.bits_allocated / 8;
    const auto sample = [&](int64_t i) -> int32_t {
      if (file_.bits_allocated == 1) return std::to_integer<int32_t>(bytes[(first_bit + i) / 8] >> ((first_bit + i) % 8)) & 1;
      if (width == 1) return byte_at(bytes, i);
      uint32_t value = 0;
      for (int64_t b = 0; b < width; ++b)
        value |= std::to_integer<uint32_t>(bytes[i * width + b]) << 8 * (file_.syntax.is_big_endian ? width - 1 - b : b);
      return static_cast<int32_t>(value);
    };
    if (is_422) {
      // Two pixels in four: Y, Y, Cb, Cr.
      for (int64_t i = 0; i < area; ++i) {
        const int64_t pair = i / 2 * 4;
        samples.values[3 * i] = sample(pair + i % 2);
        samples.values[3 * i + 1] = sample(pair + 2);
        samples.values[3 * i + 2] = sample(pair + 3);
      }
    } else if (file_.is_planar && file_.samples_per_pixel > 1) {
      for (int64_t i = 0; i < count; ++i) samples.values[i % area * file_.samples_per_pixel + i / area] = sample(i);
    } else {
      for (int64_t i = 0; i < count; ++i) samples.values[i] = sample(i);
    }
    return samples;
  }

  /// Big-endian files may hold bytes in words, whose halves then stand the other way round; pairs are counted over all frames.
  int32_t byte_at(std::span<const std::byte> frame, int64_t i) const {
    if (!file_.is_swapped) return std::to_integer<int32_t>(frame[i]);
    const int64_t at = (frame.data() - file_.native.data() + i) ^ 1;
    return at < static_cast<int64_t>(file_.native.size()) ? std::to_integer<int32_t>(file_.native[at]) : 0;
  }

  std::vector<double> read_real() const {
    const bool is_double = file_.pixels == DicomFile::Pixels::kDouble;
    const int64_t width = is_double ? 8 : 4, count = file_.rows * file_.columns;
    int64_t first_bit = 0;
    const auto bytes = native_frame(count * width * 8, first_bit);
    std::vector<double> values(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      uint64_t bits = 0;
      for (int64_t b = 0; b < width; ++b)
        bits |= std::to_integer<uint64_t>(bytes[i * width + b]) << 8 * (file_.syntax.is_big_endian ? width - 1 - b : b);
      values[i] = is_double ? std::bit_cast<double>(bits) : static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    }
    return values;
  }

  const DicomFile& file_;
  int64_t frame_;
  ExpectedSize expected_;
};

/// The entry that a value stands for.
uint16_t look_up(const DicomTable& table, double value) {
  if (!(value >= table.first)) return table.entries.front();
  const double index = std::min(value - table.first, static_cast<double>(table.entries.size() - 1));
  return table.entries[static_cast<size_t>(index)];
}

/// A sample of `bits` bits as a byte: its high ones.
uint8_t high_byte(int64_t value, int bits) {
  value = std::max<int64_t>(value, 0);
  return static_cast<uint8_t>(std::min<int64_t>(bits > 8 ? value >> (bits - 8) : value, 255));
}

/// From values in the file to values with a unit.
class Modality {
 public:
  explicit Modality(const DicomFile& file)
      : table_(file.modality_table ? &*file.modality_table : nullptr),
        slope_(file.slope.value_or(1)),
        intercept_(file.intercept.value_or(0)) {}
  double operator()(double stored) const { return table_ != nullptr ? look_up(*table_, stored) : stored * slope_ + intercept_; }

 private:
  const DicomTable* table_;
  double slope_, intercept_;
};

/// From values with a unit to grey.
class Display {
 public:
  /// `values`: those that occur, each as often as it does where the options ask for percentiles.
  Display(const DicomFile& file, const VolumeOptions& options, std::span<const double> values)
      : rule_(grey_rule(options, values)), is_inverted_(file.photometric == "MONOCHROME1") {
    if (options.window || options.shading != Shading::kFile) return;
    if (file.voi_table) {
      table_ = &*file.voi_table;
    } else if (file.centre && file.width) {
      // A width that cannot be counts as no window.
      const double centre = *file.centre, width = *file.width;
      if (file.voi_function == "SIGMOID" && width > 0) rule_ = GreyRule::sigmoid(centre, width);
      if (file.voi_function == "LINEAR_EXACT" && width > 0) rule_ = GreyRule::window(centre, width);
      if (file.voi_function != "SIGMOID" && file.voi_function != "LINEAR_EXACT" && width >= 1)
        rule_ = GreyRule::window(centre - 0.5, width - 1);
    }
  }
  uint8_t operator()(double value) const {
    const uint8_t grey = table_ != nullptr ? from_table(value) : rule_(value);
    return is_inverted_ ? static_cast<uint8_t>(255 - grey) : grey;
  }

 private:
  uint8_t from_table(double value) const {
    const double greatest = static_cast<double>((1 << table_->bits) - 1);
    return static_cast<uint8_t>(std::min(std::nearbyint(look_up(*table_, value) / greatest * 255), 255.0));
  }

  GreyRule rule_;
  const DicomTable* table_ = nullptr;
  bool is_inverted_;
};

void put_grey(RgbImage& image, size_t pixel, uint8_t grey) {
  std::memset(image.pixels.data() + 3 * pixel, grey, 3);
}

void show_real(RgbImage& image, const DicomFile& file, const VolumeOptions& options, std::vector<double> values) {
  const Modality modality(file);
  for (double& value : values) value = modality(value);
  const Display display(file, options, values);
  for (size_t i = 0; i < values.size(); ++i) put_grey(image, i, display(values[i]));
}

void show_grey(RgbImage& image, const DicomFile& file, const VolumeOptions& options, const Samples& samples) {
  const auto [least, greatest] = std::minmax_element(samples.values.begin(), samples.values.end());
  const int64_t low = *least, range = static_cast<int64_t>(*greatest) - low + 1;
  constexpr int64_t kMostValues = 1 << 16;
  const bool is_whole_unsigned = samples.bits >= 32 && !samples.is_signed;
  if (range > kMostValues || is_whole_unsigned) {
    std::vector<double> values(samples.values.size());
    std::transform(samples.values.begin(), samples.values.end(), values.begin(), [&](int32_t value) {
      return is_whole_unsigned ? static_cast<double>(static_cast<uint32_t>(value)) : static_cast<double>(value);
    });
    show_real(image, file, options, std::move(values));
    return;
  }
  // Each value that occurs is computed once.
  const Modality modality(file);
  std::vector<double> values;
  if (options.shading == Shading::kPercentile) {
    std::transform(samples.values.begin(), samples.values.end(), std::back_inserter(values), modality);
  } else {
    std::vector<bool> occurs(static_cast<size_t>(range));
    for (const int32_t value : samples.values) occurs[static_cast<size_t>(value - low)] = true;
    for (int64_t i = 0; i < range; ++i) {
      if (occurs[static_cast<size_t>(i)]) values.push_back(modality(static_cast<double>(low + i)));
    }
  }
  const Display display(file, options, values);
  std::vector<uint8_t> greys(static_cast<size_t>(range));
  for (int64_t i = 0; i < range; ++i) greys[static_cast<size_t>(i)] = display(modality(static_cast<double>(low + i)));
  for (size_t i = 0; i < samples.values.size(); ++i) put_grey(image, i, greys[static_cast<size_t>(samples.values[i] - low)]);
}

void show_palette(RgbImage& image, const DicomFile& file, const Samples& samples) {
  for (const DicomTable& colour : file.palette) {
    if (colour.entries.empty()) throw corrupt_image(kKind, "a palette without its colours");
  }
  for (size_t i = 0; i < samples.values.size(); ++i) {
    for (size_t c = 0; c < 3; ++c) {
      image.pixels[3 * i + c] = high_byte(look_up(file.palette[c], samples.values[i]), file.palette[c].bits);
    }
  }
}

void show_colour(RgbImage& image, const Samples& samples, bool is_ybr) {
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    uint8_t* pixel = image.pixels.data() + i;
    for (size_t c = 0; c < 3; ++c) {
      const int32_t value = samples.values[i + c];
      pixel[c] = high_byte(samples.is_signed ? value : static_cast<int64_t>(static_cast<uint32_t>(value)), samples.bits);
    }
    if (!is_ybr) continue;
    // PS3.3 C.7.6.3.1.2, halves rounded up.
    const auto y = static_cast<float>(pixel[0]), cb = static_cast<float>(pixel[1]) - 128, cr = static_cast<float>(pixel[2]) - 128;
    const auto rounded = [](float value) { return static_cast<uint8_t>(std::clamp(std::floor(value + 0.5f), 0.0f, 255.0f)); };
    pixel[0] = rounded(y + 1.402f * cr);
    pixel[1] = rounded(y - static_cast<float>(0.114 * 1.772 / 0.587) * cb - static_cast<float>(0.299 * 1.402 / 0.587) * cr);
    pixel[2] = rounded(y + 1.772f * cb);
  }
}

/// Throws UserError for what cannot be a picture or is none that can be shown.
void check(const DicomFile& file, const DecodeOptions& options) {
  if (file.pixels == DicomFile::Pixels::kNone)
    throw unsupported_image("a DICOM file without pixel data (a report, a structure set, a directory)", "leave it out");
  if (file.rows < 1 || file.columns < 1) throw corrupt_image(kKind, "a picture without rows or columns");
  check_image_size(file.columns, file.rows, options);
  const int64_t frame = options.volume.frame;
  if (frame >= file.frames) {
    throw UserError("a DICOM file has no such frame", {.found = fmt::format("frame {} of {}, counted from 0", frame, file.frames),
                                                       .fix = fmt::format("set `frame` to at most {}", file.frames - 1)});
  }
  if (file.pixels != DicomFile::Pixels::kWhole) {
    if (file.is_encapsulated || file.samples_per_pixel != 1) throw corrupt_image(kKind, "float pixel data of a kind that does not exist");
    return;
  }
  if (file.bits_allocated != 1 && file.bits_allocated != 8 && file.bits_allocated != 16 && file.bits_allocated != 32)
    throw unsupported_image(fmt::format("a DICOM file with {} bits allocated", file.bits_allocated), "convert it to 8 or 16 bits");
  const bool bits_fit = file.bits_stored >= 1 && file.bits_stored <= file.bits_allocated && file.high_bit < file.bits_allocated;
  if (!bits_fit) throw corrupt_image(kKind, "more bits stored than allocated");
  if (file.samples_per_pixel == 1) {
    const bool is_known = file.photometric.empty() || file.photometric == "MONOCHROME1" || file.photometric == "MONOCHROME2" ||
                          file.photometric == "PALETTE COLOR";
    if (!is_known) throw corrupt_image(kKind, "a photometric interpretation that does not fit one sample a pixel");
    return;
  }
  static constexpr std::array kColours = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"};
  if (file.samples_per_pixel != 3 || std::find(kColours.begin(), kColours.end(), file.photometric) == kColours.end()) {
    throw unsupported_image(fmt::format("a DICOM file of {} samples a pixel in a retired or unknown colour space", file.samples_per_pixel),
                            "convert it to RGB");
  }
  if (file.bits_allocated == 1) throw corrupt_image(kKind, "colours of one bit");
}

}  // namespace

RgbImage decode_dicom(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const DicomFile file = read_dicom(bytes, options.volume.frame, options);
  check(file, options);
  Frame frame = FrameReader(file, options.volume.frame).read();
  RgbImage image{file.columns, file.rows, {}};
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  if (file.pixels != DicomFile::Pixels::kWhole) {
    show_real(image, file, options.volume, std::move(frame.real));
  } else if (file.samples_per_pixel == 3) {
    show_colour(image, frame.samples, frame.is_ybr);
  } else if (file.photometric == "PALETTE COLOR") {
    show_palette(image, file, frame.samples);
  } else {
    show_grey(image, file, options.volume, frame.samples);
  }
  return image;
}

}  // namespace multimeditron
