#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "image/image.h"
#include "image/pattern.h"

namespace multimeditron {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(EncodePng, IsDecodedToTheSamePixels) {
  RgbImage image{31, 7, {}};
  for (int i = 0; i < 31 * 7 * 3; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 37 + i / 11));
  const std::string png = encode_png(image);
  const RgbImage again = decode_image(bytes_of(png));
  EXPECT_EQ(again.width, 31);
  EXPECT_EQ(again.height, 7);
  EXPECT_EQ(again.pixels, image.pixels);
}

TEST(EncodeJpeg, IsDecodedToWhatPillowsFileIsDecodedTo) {
  const Json goldens = read_json(std::filesystem::path(TEST_DATA) / "image" / "goldens.json");
  ASSERT_GE(goldens["encoded"].size(), 6u);
  for (const Json& golden : goldens["encoded"]) {
    SCOPED_TRACE(golden.dump());
    RgbImage image = pattern(golden["from"][0], golden["from"][1]);
    if (golden["channels"] == 1) {
      for (size_t i = 0; i < image.pixels.size(); i += 3) image.pixels[i + 1] = image.pixels[i + 2] = image.pixels[i];
    }
    const std::string jpeg = encode_jpeg(image, golden["quality"]);
    const RgbImage again = decode_image(bytes_of(jpeg));
    EXPECT_EQ(again.width, image.width);
    EXPECT_EQ(again.height, image.height);
    EXPECT_EQ(sha256(std::as_bytes(std::span(again.pixels))), golden["rgb_sha256"].get<std::string>());
    EXPECT_EQ(jpeg, encode_jpeg(image, golden["quality"]));
  }
}

TEST(EncodeJpeg, CarriesNoMetadata) {
  const std::string jpeg = encode_jpeg(pattern(40, 30), 80);
  // Walks the segments up to the scan: the tables, the frame and the JFIF mark of 16 bytes, no comment and no other application data.
  for (size_t i = 2; static_cast<uint8_t>(jpeg[i + 1]) != 0xda;) {
    const uint8_t marker = static_cast<uint8_t>(jpeg[i + 1]);
    const size_t length = static_cast<size_t>(static_cast<uint8_t>(jpeg[i + 2])) << 8 | static_cast<uint8_t>(jpeg[i + 3]);
    EXPECT_NE(marker, 0xfe);
    EXPECT_TRUE(marker < 0xe0 || (marker == 0xe0 && length == 16)) << int{marker};
    i += 2 + length;
  }
}

TEST(EncodeJpeg, RefusesASideThatTheFormatCannotHold) {
  const RgbImage image{65'501, 1, std::vector<uint8_t>(65'501 * 3)};
  EXPECT_USER_ERROR(encode_jpeg(image, 80), "too large", "65501 x 1", "PNG");
}

}  // namespace
}  // namespace multimeditron
