// JPEGs that libjpeg-turbo does not decode: lossless ones and those of 12 bits, by the decoders inside DCMTK; JPEG-LS by CharLS.
#include <charls/charls.h>
#include <dcmtk/config/osconfig.h>
// DCMTK's headers need the one above first.
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>
#include <dcmtk/oflog/oflog.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

#include "image/codec.h"
#include "image/samples.h"

namespace multimeditron {
namespace {

size_t number(std::span<const std::byte> bytes, size_t at) {
  return std::to_integer<size_t>(bytes[at]) << 8 | std::to_integer<size_t>(bytes[at + 1]);
}

bool begins_with(std::span<const std::byte> bytes, const char* word) {
  return bytes.size() >= std::strlen(word) && std::memcmp(bytes.data(), word, std::strlen(word)) == 0;
}

constexpr int kLossless = 3;

}  // namespace

bool has_end_mark(std::span<const std::byte> bytes) {
  constexpr size_t kPadding = 16;
  for (size_t at = bytes.size() - std::min(bytes.size(), kPadding); at + 1 < bytes.size(); ++at) {
    if (number(bytes, at) == 0xffd9) return true;
  }
  return false;
}

JpegHeader read_jpeg_header(std::span<const std::byte> bytes) {
  if (bytes.size() < 4 || number(bytes, 0) != 0xffd8) throw corrupt_image("JPEG", "it does not begin as a JPEG");
  JpegHeader header;
  bool has_jfif = false;
  for (size_t at = 2; at + 4 <= bytes.size();) {
    if (bytes[at] != std::byte{0xff}) throw corrupt_image("JPEG", "no marker where one must be");
    const auto marker = std::to_integer<int>(bytes[at + 1]);
    if (marker == 0xff) {  // fill byte
      ++at;
      continue;
    }
    const size_t length = number(bytes, at + 2);
    if (length < 2 || length > bytes.size() - at - 2) break;
    const std::span<const std::byte> segment = bytes.subspan(at + 4, length - 2);
    if (marker == 0xe0 && begins_with(segment, "JFIF")) has_jfif = true;
    if (marker == 0xee && begins_with(segment, "Adobe") && segment.size() >= 12)
      header.colour = segment[11] == std::byte{0} ? JpegColour::kRgb : JpegColour::kYcc;
    const bool is_frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (is_frame || marker == 0xf7) {
      if (segment.size() < 6) break;
      header.process = marker == 0xf7 ? marker : marker - 0xc0;
      header.bits = std::to_integer<int>(segment[0]);
      header.height = static_cast<int64_t>(number(segment, 1));
      header.width = static_cast<int64_t>(number(segment, 3));
      header.components = std::to_integer<int>(segment[5]);
      if (segment.size() < 6 + 3 * static_cast<size_t>(header.components)) break;
      std::string names;
      for (int c = 0; c < header.components; ++c) names += static_cast<char>(segment[6 + 3 * static_cast<size_t>(c)]);
      if (names == "RGB" || names == "rgb") header.colour = JpegColour::kRgb;
      if (header.colour == JpegColour::kUnsaid && has_jfif) header.colour = JpegColour::kYcc;
      return header;
    }
    at += 2 + length;
  }
  throw truncated_image("JPEG", "end of data within its header");
}

Samples decode_deep_jpeg_samples(std::span<const std::byte> bytes, const JpegHeader& header, const ExpectedSize& expected) {
  const bool is_lossless = header.process == kLossless;
  if (header.width != expected.width || header.height != expected.height || header.components != expected.components)
    throw other_size("JPEG");
  if (header.bits < 2 || header.bits > 16 || (!is_lossless && header.bits != 12))
    throw unsupported_image(fmt::format("a JPEG of {} bits", header.bits), "convert it to PNG");
  const auto count = static_cast<size_t>(expected.width * expected.height * expected.components);
  // Before any memory is taken: a sample (of a lossless JPEG), a block (else) costs a bit.
  if (count / (is_lossless ? 1 : 64) / 8 > bytes.size() || bytes.size() > UINT32_MAX || count > UINT32_MAX / 2)
    throw truncated_image("JPEG", fmt::format("{} bytes for {} samples", bytes.size(), count));
  int scans = 0;
  for (size_t at = 0; at + 1 < bytes.size(); ++at) scans += number(bytes, at) == 0xffda ? 1 : 0;
  if (scans > kMaxScans) throw corrupt_image("JPEG", fmt::format("more than {} scans", kMaxScans));

  static std::once_flag once;
  std::call_once(once, [] { OFLog::configure(OFLogger::OFF_LOG_LEVEL); });
  const DJCodecParameter parameters(ECC_lossyYCbCr, EDC_never, EUC_never, EPC_colorByPixel);
  std::unique_ptr<DJDecoder> decoder;
  if (header.bits <= 8) {
    decoder = std::make_unique<DJDecompressIJG8Bit>(parameters, OFFalse);
  } else if (header.bits <= 12) {
    decoder = std::make_unique<DJDecompressIJG12Bit>(parameters, OFFalse);
  } else {
    decoder = std::make_unique<DJDecompressIJG16Bit>(parameters, OFFalse);
  }
  const size_t width = header.bits <= 8 ? 1 : 2;
  std::vector<uint8_t> pixels(count * width);
  OFCondition result = decoder->init();
  if (result.good()) {
    result = decoder->decode(reinterpret_cast<Uint8*>(const_cast<std::byte*>(bytes.data())), static_cast<Uint32>(bytes.size()),
                             pixels.data(), static_cast<Uint32>(pixels.size()), OFFalse);
  }
  if (result == EJ_Suspension || (result.bad() && !has_end_mark(bytes)))
    throw truncated_image("JPEG", "end of data before the end of the image");
  if (result.bad()) throw corrupt_image("JPEG", "the decoder refuses it");

  Samples samples{.width = expected.width, .height = expected.height, .components = expected.components, .bits = header.bits, .values = {}};
  samples.values.resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (width == 1) {
      samples.values[i] = pixels[i];
    } else {
      uint16_t value;
      std::memcpy(&value, pixels.data() + 2 * i, 2);  // in the machine's order
      samples.values[i] = value;
    }
  }
  return samples;
}

Samples decode_jpeg_ls_samples(std::span<const std::byte> bytes, const ExpectedSize& expected) {
  // Without an end mark CharLS 2.4 may count zeros for half a minute.
  if (!has_end_mark(bytes)) throw truncated_image("JPEG-LS", "end of data before the end of the image");
  try {
    charls::jpegls_decoder decoder(bytes.data(), bytes.size());
    const charls::frame_info& frame = decoder.frame_info();
    if (frame.width != expected.width || frame.height != expected.height || frame.component_count != expected.components)
      throw other_size("JPEG-LS");
    const size_t width = frame.bits_per_sample <= 8 ? 1 : 2;
    const auto components = static_cast<size_t>(expected.components), area = static_cast<size_t>(expected.width * expected.height);
    std::vector<uint8_t> pixels(area * components * width);
    decoder.decode(pixels.data(), pixels.size());
    const bool is_planar = components > 1 && decoder.interleave_mode() == charls::interleave_mode::none;
    Samples samples{
        .width = expected.width, .height = expected.height, .components = expected.components, .bits = frame.bits_per_sample, .values = {}};
    samples.values.resize(area * components);
    for (size_t i = 0; i < area; ++i) {
      for (size_t c = 0; c < components; ++c) {
        const size_t from = is_planar ? c * area + i : i * components + c;
        uint16_t value = pixels[from * width];
        if (width == 2) std::memcpy(&value, pixels.data() + 2 * from, 2);
        samples.values[i * components + c] = value;
      }
    }
    return samples;
  } catch (const charls::jpegls_error& error) {
    throw corrupt_image("JPEG-LS", fmt::format("CharLS: {}", error.what()));
  }
}

}  // namespace multimeditron
