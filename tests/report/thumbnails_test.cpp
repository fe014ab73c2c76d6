#include "report/thumbnails.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <fstream>

#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

RgbImage noise(int64_t width, int64_t height, uint32_t seed) {
  RgbImage image{width, height, {}};
  for (int64_t i = 0; i < width * height * 3; ++i) {
    seed = seed * 1664525 + 1013904223;
    image.pixels.push_back(static_cast<uint8_t>(seed >> 24));
  }
  return image;
}

/// The image of a data URI, by OpenSSL's base64.
RgbImage decoded(const std::string& uri) {
  const std::string text = uri.substr(uri.find(',') + 1);
  std::vector<unsigned char> bytes(text.size());
  const int size = EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  EXPECT_GT(size, 0);
  const int padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  return decode_image(std::as_bytes(std::span(bytes.data(), static_cast<size_t>(size - padding))));
}

struct ThumbnailsTest : ::testing::Test {
  std::filesystem::path save(const std::string& name, const RgbImage& image) {
    std::ofstream(folder / name, std::ios::binary) << encode_png(image);
    return folder / name;
  }
  const TemporaryFolder folder;
};

TEST_F(ThumbnailsTest, NoSideIsLongerThanItsLimitAndSmallImagesKeepTheirSize) {
  Thumbnails thumbnails(10);
  EXPECT_EQ(thumbnails.add(save("wide.png", noise(400, 100, 1))), 0);
  EXPECT_EQ(thumbnails.add(save("tall.png", noise(3, 900, 2))), 1);
  EXPECT_EQ(thumbnails.add(save("small.png", noise(30, 20, 3))), 2);
  const auto size = [&](size_t i) {
    const RgbImage image = decoded(thumbnails.uris()[i]);
    return std::pair(image.width, image.height);
  };
  EXPECT_EQ(size(0), std::pair(int64_t{160}, int64_t{40}));
  EXPECT_EQ(size(1), std::pair(int64_t{1}, int64_t{160}));
  EXPECT_EQ(size(2), std::pair(int64_t{30}, int64_t{20}));
}

TEST_F(ThumbnailsTest, EachContentStandsOnce) {
  Thumbnails thumbnails(10);
  const auto first = save("first.png", noise(20, 20, 1));
  EXPECT_EQ(thumbnails.add(first), 0);
  EXPECT_EQ(thumbnails.add(save("second.png", noise(20, 20, 2))), 1);
  EXPECT_EQ(thumbnails.add(save("copy.png", noise(20, 20, 1))), 0);
  EXPECT_EQ(thumbnails.add(folder.path() / "." / "first.png"), 0);
  EXPECT_EQ(thumbnails.uris().size(), 2U);
}

TEST_F(ThumbnailsTest, WhatCannotBeReadIsMinusOne) {
  Thumbnails thumbnails(10);
  std::ofstream(folder / "text.png") << "no image";
  EXPECT_EQ(thumbnails.add(folder / "text.png"), -1);
  EXPECT_EQ(thumbnails.add(folder / "missing.png"), -1);
  EXPECT_EQ(thumbnails.add(folder.path()), -1);
  EXPECT_EQ(thumbnails.add("/dev/zero"), -1);
  EXPECT_TRUE(thumbnails.uris().empty());
}

// Noise is what compresses worst. What easy images leave over goes to those that come after.
TEST_F(ThumbnailsTest, AllTogetherStayWithinTheirBytes) {
  constexpr size_t kBytes = 60'000;
  Thumbnails thumbnails(20, kBytes);
  size_t total = 0;
  for (uint32_t i = 0; i < 20; ++i) {
    RgbImage image = noise(200, 200, i + 1);
    if (i < 10) image.pixels.assign(image.pixels.size(), static_cast<uint8_t>(i));
    ASSERT_EQ(thumbnails.add(save(std::to_string(i), image)), i);
    total += thumbnails.uris().back().size();
  }
  EXPECT_LE(total, kBytes);
  EXPECT_EQ(decoded(thumbnails.uris()[0]).width, 160);
  EXPECT_GE(decoded(thumbnails.uris()[19]).width, 64);
}

TEST_F(ThumbnailsTest, DrawingsStayPngWhereThatIsSmaller) {
  RgbImage drawing{64, 64, std::vector<uint8_t>(64 * 64 * 3, 255)};
  for (size_t i = 3000; i < 6000; ++i) drawing.pixels[i] = 0;
  const std::string uri = image_uri(drawing, 160, 80);
  EXPECT_TRUE(uri.starts_with("data:image/png;base64,"));
  EXPECT_EQ(decoded(uri).pixels, drawing.pixels);
}

}  // namespace
}  // namespace multimeditron
