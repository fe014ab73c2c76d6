#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "image/codec.h"
#include "image/grey.h"
#include "image/pixels.h"

namespace multimeditron {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Tokens between white space. A comment runs from # to the end of its line, and is nothing at all: not even the end of a token.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : text_(text) {}

  /// Past the token and the one white space behind it; empty at the end of the data. Throws UserError where it is long, as Pillow does.
  std::string next() {
    std::string token;
    while (offset < text_.size() && token.size() <= kLongest) {
      const char c = text_[offset++];
      if (c == '#') {
        while (offset < text_.size() && text_[offset] != '\n' && text_[offset] != '\r') ++offset;
        ++offset;
      } else if (!is_space(c)) {
        token += c;
      } else if (!token.empty()) {
        break;
      }
    }
    if (token.size() > kLongest) throw corrupt_image("PNM", fmt::format("a number of more than {} characters", kLongest));
    return token;
  }

  int64_t next_number(int64_t limit) {
    const std::string token = next();
    if (token.empty()) throw truncated_image("PNM", "end of data where a number is expected");
    const bool is_number = std::all_of(token.begin(), token.end(), [](char c) { return c >= '0' && c <= '9'; });
    const int64_t value = is_number ? std::stoll(token) : -1;
    if (value < 0 || value > limit) throw corrupt_image("PNM", fmt::format("where a number from 0 to {} is expected", limit));
    return value;
  }

  /// 0 or 1, which need no white space in between.
  uint8_t next_bit() {
    while (offset < text_.size()) {
      const char c = text_[offset++];
      if (c == '#') {
        while (offset < text_.size() && text_[offset] != '\n' && text_[offset] != '\r') ++offset;
        ++offset;
      } else if (c == '0' || c == '1') {
        return static_cast<uint8_t>(c - '0');
      } else if (!is_space(c)) {
        throw corrupt_image("PNM", "a sign other than 0 and 1");
      }
    }
    throw truncated_image("PNM", "end of data before the end of the image");
  }

  size_t offset = 2;  ///< behind the two letters of the format

 private:
  static constexpr size_t kLongest = 10;
  std::string_view text_;
};

/// Rows from 0 to 255, from a file of rows bottom to top, what lies outside clipped (Pf: one float a pixel).
void read_floats(std::string_view data, bool is_little, RgbImage& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      uint32_t bits = 0;
      std::memcpy(&bits, data.data() + (y * image.width + x) * 4, 4);
      if (!is_little) bits = __builtin_bswap32(bits);
      float value = 0;
      std::memcpy(&value, &bits, 4);
      const uint8_t grey = float_to_eight(value);
      grey_to_rgb(&grey, 1, image.pixels.data() + ((image.height - 1 - y) * image.width + x) * 3);
    }
  }
}

}  // namespace

// The text and binary bitmaps, greymaps and pixmaps P1 to P6, and greymaps of floats.
RgbImage decode_pnm(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const char kind = text[1];
  const bool is_plain = kind <= '3', is_bitmap = kind == '1' || kind == '4', is_float = kind == 'f';
  const int64_t channels = kind == '3' || kind == '6' ? 3 : 1;
  Tokens tokens(text);
  const int64_t limit = std::numeric_limits<int32_t>::max();
  RgbImage image{tokens.next_number(limit), tokens.next_number(limit), {}};
  if (image.width == 0 || image.height == 0) throw corrupt_image("PNM", fmt::format("{} x {} pixels", image.width, image.height));
  check_image_size(image.width, image.height, options);
  double scale = 1;
  if (is_float) {
    const std::string token = tokens.next();
    char* end = nullptr;
    scale = std::strtod(token.c_str(), &end);
    if (token.empty() || *end != '\0' || scale == 0 || !std::isfinite(scale)) throw corrupt_image("PNM", "no finite scale other than 0");
  }
  const int64_t maximum = is_bitmap || is_float ? 1 : tokens.next_number(65535);
  if (maximum == 0) throw corrupt_image("PNM", "a largest value of 0");

  // Before any memory is taken: what the data must hold at least.
  const int64_t sample_size = is_float ? 4 : maximum > 255 ? 2 : 1, samples = image.width * channels;
  const int64_t row_size = kind == '4' ? (image.width + 7) / 8 : samples * sample_size;
  const int64_t needed = is_plain ? image.height * samples : image.height * row_size;
  const std::string_view data = text.substr(std::min(tokens.offset, text.size()));
  if (static_cast<int64_t>(data.size()) < needed) {
    throw truncated_image("PNM", fmt::format("{} bytes behind the header; at least {} are needed", data.size(), needed));
  }
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  if (is_float) {
    read_floats(data, scale < 0, image);
    return image;
  }

  // Python's round(value / maximum * most): half to even. Grey of more than 8 bits is brought to 16.
  const bool is_sixteen_bit_grey = maximum > 255 && channels == 1, clips = options.sixteen_bit == SixteenBit::kClip;
  const double most = is_sixteen_bit_grey ? 65535 : 255;
  std::vector<uint8_t> table(static_cast<size_t>(maximum) + 1);
  for (size_t value = 0; value < table.size(); ++value) {
    const auto scaled = static_cast<uint32_t>(std::nearbyint(static_cast<double>(value) / static_cast<double>(maximum) * most));
    table[value] = is_sixteen_bit_grey ? sixteen_to_eight(scaled, clips) : static_cast<uint8_t>(scaled);
  }
  const bool has_window = is_sixteen_bit_grey && has_own_rule(options.volume);
  image.is_from_sixteen_bit_grey = is_sixteen_bit_grey && !clips && !has_window;

  std::vector<uint16_t> values;
  std::vector<uint8_t> row(static_cast<size_t>(samples));
  for (int64_t y = 0; y < image.height; ++y) {
    const auto* in = reinterpret_cast<const uint8_t*>(data.data()) + (is_plain ? 0 : y * row_size);
    for (int64_t x = 0; x < samples; ++x) {
      uint8_t& out = row[static_cast<size_t>(x)];
      if (is_bitmap) {
        const int is_black = is_plain ? tokens.next_bit() : (in[x / 8] >> (7 - x % 8)) & 1;
        out = is_black != 0 ? 0 : 255;
      } else {
        const int64_t value = is_plain ? tokens.next_number(maximum) : sample_size == 1 ? in[x] : in[2 * x] << 8 | in[2 * x + 1];
        out = table[static_cast<size_t>(std::min(value, maximum))];
        if (has_window) values.push_back(static_cast<uint16_t>(value));
      }
    }
    uint8_t* rgb = image.pixels.data() + y * image.width * 3;
    if (channels == 3)
      std::memcpy(rgb, row.data(), row.size());
    else
      grey_to_rgb(row.data(), image.width, rgb);
  }
  if (has_window) image.pixels = sixteen_bit_grey_to_rgb(values, options.volume);
  return image;
}

}  // namespace multimeditron
