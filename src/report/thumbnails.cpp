#include "report/thumbnails.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace multimeditron {
namespace {

struct Coarseness {
  int64_t longest_side;
  int quality;
};
constexpr Coarseness kLadder[] = {
    {Thumbnails::kLongestSide, 80}, {160, 70}, {160, 60}, {144, 60}, {128, 60}, {112, 55}, {96, 55}, {80, 50}, {64, 45}, {48, 40}};

std::string base64(const std::string& bytes) {
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k) text += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

RgbImage scaled_down(const RgbImage& image, int64_t longest_side) {
  const int64_t longest = std::max(image.width, image.height);
  if (longest <= longest_side) return image;
  const auto scaled = [&](int64_t side) {
    return std::max<int64_t>(1, std::llround(static_cast<double>(side) * static_cast<double>(longest_side) / static_cast<double>(longest)));
  };
  return resize_bicubic(image, scaled(image.width), scaled(image.height));
}

/// Areas of one colour, which PNG does better than JPEG. On anything else it is slow and large.
bool is_drawing(const RgbImage& image) {
  size_t num_equal = 0;
  for (size_t i = 3; i < image.pixels.size(); i += 3) num_equal += std::equal(&image.pixels[i], &image.pixels[i] + 3, &image.pixels[i - 3]);
  return num_equal * 6 > image.pixels.size();  // half of the pixels
}

}  // namespace

std::string image_uri(const RgbImage& image, int64_t longest_side, int quality) {
  const RgbImage small = scaled_down(image, longest_side);
  const std::string jpeg = encode_jpeg(small, quality);
  if (is_drawing(small)) {
    const std::string png = encode_png(small);
    if (png.size() < jpeg.size()) return "data:image/png;base64," + base64(png);
  }
  return "data:image/jpeg;base64," + base64(jpeg);
}

int64_t Thumbnails::add(const std::filesystem::path& file) {
  const auto [known, is_new] = by_path_.emplace(file.lexically_normal().string(), -1);
  if (!is_new) return known->second;
  std::error_code code;
  try {
    // A pipe or a device might have no end.
    if (std::filesystem::is_regular_file(file, code)) known->second = add_content(read_file(file));
  } catch (const UserError&) {
    // The page says that the image is missing; the answer to it still counts.
  }
  if (images_left_ > 0) --images_left_;
  return known->second;
}

int64_t Thumbnails::add_content(const std::string& content) {
  const auto [known, is_new] = by_hash_.emplace(sha256(content), -1);
  if (!is_new) return known->second;
  RgbImage image = decode_image(std::as_bytes(std::span(content.data(), content.size())));
  image = scaled_down(image, kLongestSide);  // the steps below begin with it: a large original is resized once
  const size_t share = bytes_left_ / std::max<size_t>(images_left_, 1);
  std::string uri;
  for (const auto& [longest_side, quality] : kLadder) {
    uri = image_uri(image, longest_side, quality);
    if (uri.size() <= share) break;
  }
  bytes_left_ -= std::min(bytes_left_, uri.size());
  uris_.push_back(uri);
  known->second = static_cast<int64_t>(uris_.size()) - 1;
  return known->second;
}

}  // namespace multimeditron
