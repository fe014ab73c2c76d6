#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "image/image.h"

namespace multimeditron {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(TEST_DATA) / "image";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string rgb_sha256(const RgbImage& image) {
  return sha256(std::as_bytes(std::span(image.pixels)));
}

TEST(DecodeImage, GivesPillowsRgbOrNamesTheFault) {
  const Json goldens = read_json(kFolder / "goldens.json");
  ASSERT_GE(goldens["decoded"].size(), 300u);
  std::set<std::string> sixteen_bit;
  for (const Json& golden : goldens["clipped"]) sixteen_bit.insert(golden["file"]);
  for (const Json& golden : goldens["decoded"]) {
    const std::string file = golden["file"];
    SCOPED_TRACE(file);
    const std::string content = read_file(kFolder / file);
    if (golden.contains("fault")) {
      try {
        decode_image(bytes_of(content));
        ADD_FAILURE() << "decoded without complaint";
      } catch (const UserError& error) {
        EXPECT_NE(error.message().find(golden["fault"].get<std::string>()), std::string::npos) << error.what();
        EXPECT_FALSE(error.details().fix.empty());
      }
      continue;
    }
    RgbImage image;
    ASSERT_NO_THROW(image = decode_image(bytes_of(content)));
    EXPECT_EQ(image.width, golden["width"].get<int64_t>());
    EXPECT_EQ(image.height, golden["height"].get<int64_t>());
    EXPECT_EQ(rgb_sha256(image), golden["rgb_sha256"].get<std::string>());
    EXPECT_EQ(image.is_from_sixteen_bit_grey, sixteen_bit.contains(file));
  }
}

TEST(DecodeImage, ClipsSixteenBitGreyAsPillowWhereAsked) {
  const Json goldens = read_json(kFolder / "goldens.json");
  ASSERT_GE(goldens["clipped"].size(), 10u);
  for (const Json& golden : goldens["clipped"]) {
    const std::string content = read_file(kFolder / golden["file"].get<std::string>());
    const RgbImage image = decode_image(bytes_of(content), {.sixteen_bit = SixteenBit::kClip});
    EXPECT_EQ(rgb_sha256(image), golden["rgb_sha256"].get<std::string>()) << golden["file"];
    EXPECT_FALSE(image.is_from_sixteen_bit_grey);
  }
}

/// A window of the stored values from 0 to 255 gives what cutting them there does.
TEST(DecodeImage, WindowsSixteenBitGreyWhereAsked) {
  for (const Json& golden : read_json(kFolder / "goldens.json")["clipped"]) {
    const std::string file = golden["file"], content = read_file(kFolder / file);
    SCOPED_TRACE(file);
    if (file != "pnm-5-12.pgm") {  // which is brought to 16 bits before it is cut
      const RgbImage windowed = decode_image(bytes_of(content), {.volume = {.window = Window{127.5, 255}}});
      EXPECT_EQ(rgb_sha256(windowed), golden["rgb_sha256"].get<std::string>());
      EXPECT_FALSE(windowed.is_from_sixteen_bit_grey);
    }
    const RgbImage whole = decode_image(bytes_of(content), {.volume = {.shading = Shading::kMinMax}});
    EXPECT_EQ(*std::min_element(whole.pixels.begin(), whole.pixels.end()), 0);
    EXPECT_EQ(*std::max_element(whole.pixels.begin(), whole.pixels.end()), 255);
    EXPECT_NE(decode_image(bytes_of(content), {.volume = {.shading = Shading::kPercentile}}).pixels, whole.pixels);
    EXPECT_THROW(decode_image(bytes_of(content), {.volume = {.window = Window{-600, 1500}, .is_in_hounsfield = true}}), UserError);
  }
  const std::string wavelets = read_file(std::filesystem::path(TEST_DATA) / "medical/grey-16.j2k");
  const RgbImage plain = decode_image(bytes_of(wavelets));
  const RgbImage windowed = decode_image(bytes_of(wavelets), {.volume = {.window = Window{32640, 65280}}});  // nearly the high byte
  for (size_t i = 0; i < plain.pixels.size(); ++i) ASSERT_NEAR(windowed.pixels[i], plain.pixels[i], 1);
  EXPECT_TRUE(plain.is_from_sixteen_bit_grey);
  EXPECT_FALSE(windowed.is_from_sixteen_bit_grey);
  // 12-bit values exported as 16-bit ones.
  const std::string radiograph("P5 3 1 65535\n\x01\xf4\x07\xd0\x0d\xac", 19);
  EXPECT_EQ(decode_image(bytes_of(radiograph)).pixels, (std::vector<uint8_t>{1, 1, 1, 7, 7, 7, 13, 13, 13}));
  EXPECT_EQ(decode_image(bytes_of(radiograph), {.volume = {.shading = Shading::kMinMax}}).pixels,
            (std::vector<uint8_t>{0, 0, 0, 128, 128, 128, 255, 255, 255}));
}

TEST(DecodeImage, ReducesJpegsAsPillowsDraft) {
  const Json goldens = read_json(kFolder / "goldens.json");
  ASSERT_GE(goldens["reduced"].size(), 10u);
  for (const Json& golden : goldens["reduced"]) {
    SCOPED_TRACE(golden.dump());
    const std::string content = read_file(kFolder / golden["file"].get<std::string>());
    const RgbImage image = decode_image(bytes_of(content), {.enough_width = golden["enough"][0], .enough_height = golden["enough"][1]});
    EXPECT_EQ(image.width, golden["width"].get<int64_t>());
    EXPECT_EQ(image.height, golden["height"].get<int64_t>());
    EXPECT_EQ(rgb_sha256(image), golden["rgb_sha256"].get<std::string>());
  }
}

TEST(DecodeImage, RefusesMorePixelsThanAskedFor) {
  for (const char* file :
       {"jpeg-large.jpg", "png-rgb-8.png", "webp-lossy.webp", "gif-palette.gif", "bmp-24.bmp", "pnm-6.ppm", "tiff-plain.tiff"}) {
    const std::string content = read_file(kFolder / file);
    EXPECT_USER_ERROR(decode_image(bytes_of(content), {.max_pixels = 29}), "too large", "at most 29");
    EXPECT_NO_THROW(decode_image(bytes_of(content), {.max_pixels = 150 * 201}));
  }
}

TEST(DecodeImage, RefusedKindsAreNamedWithTheRemedy) {
  for (const auto& [file, name] :
       {std::pair("other.avif", "AVIF"), {"jpeg-12-bit.jpg", "JPEG"}, {"bmp-odd-header.bmp", "BMP"}, {"tiff-lab.tiff", "TIFF"}}) {
    const std::string content = read_file(kFolder / file);
    try {
      decode_image(bytes_of(content));
      ADD_FAILURE() << file;
    } catch (const UserError& error) {
      EXPECT_NE(error.message().find(name), std::string::npos) << error.what();
      EXPECT_NE(error.details().fix.find("PNG"), std::string::npos) << error.what();
    }
  }
}

TEST(DecodeImage, WhatIsNoImageIsNamed) {
  for (const auto& [brand, what] : {std::pair("heic", "a HEIF image"), {"avis", "an AVIF image"}, {"isom", "a video"}}) {
    const std::string content = std::string(4, '\0') + "ftyp" + brand;
    EXPECT_USER_ERROR(decode_image(bytes_of(content)), "unsupported image: " + std::string(what), "PNG");
  }
  const std::string text(kFirstBytes, 'x');
  EXPECT_USER_ERROR(require_image(bytes_of(text)), "unidentified");
  EXPECT_NO_THROW(require_image(bytes_of("BM" + text)));
}

TEST(DecodeImage, LongNumbersInPnmAreRefusedAsByPillow) {
  const std::string rows(16, '\0');
  EXPECT_NO_THROW(decode_image(bytes_of("Pf\n2 2\n-0.0039215\n" + rows)));
  EXPECT_USER_ERROR(decode_image(bytes_of("Pf\n2 2\n-0.0039215686\n" + rows)), "corrupt", "more than 10 characters");
}

/// A TIFF around a whole JPEG, as writers before 1995 made them.
std::string old_jpeg_tiff(const std::string& jpeg, uint32_t width, uint32_t height) {
  const auto little = [](uint32_t value, int size) {
    std::string bytes;
    for (int i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 0xff);
    return bytes;
  };
  const auto size = static_cast<uint32_t>(jpeg.size()), directory = 16 + size + size % 2;
  struct Entry {
    uint32_t tag, type, count, value;
  };
  const Entry entries[] = {{256, 4, 1, width}, {257, 4, 1, height}, {258, 3, 3, 8},    {259, 3, 1, 6},
                           {262, 3, 1, 6},     {273, 4, 1, 16},     {277, 3, 1, 3},    {278, 4, 1, height},
                           {279, 4, 1, size},  {513, 4, 1, 16},     {514, 4, 1, size}, {530, 3, 2, 2 | 2 << 16}};
  std::string file = std::string("II*\0", 4) + little(directory, 4) + little(8, 2) + little(8, 2) + little(8, 2) + little(0, 2) + jpeg;
  file.resize(directory);
  file += little(std::size(entries), 2);
  for (const Entry& entry : entries) file += little(entry.tag, 2) + little(entry.type, 2) + little(entry.count, 4) + little(entry.value, 4);
  return file + little(0, 4);
}

TEST(DecodeImage, JpegOfTheOldKindInATiffMayNotEndEarly) {
  const std::string jpeg = read_file(kFolder / "jpeg-420.jpg");
  const RgbImage image = decode_image(bytes_of(jpeg));
  const auto tiff = [&](size_t size) {
    return old_jpeg_tiff(jpeg.substr(0, size), static_cast<uint32_t>(image.width), static_cast<uint32_t>(image.height));
  };
  EXPECT_EQ(decode_image(bytes_of(tiff(jpeg.size()))).width, image.width);
  EXPECT_USER_ERROR(decode_image(bytes_of(tiff(jpeg.size() - 100))), "truncated");
}

// Every prefix of a file and every single damaged byte ends in an image or a UserError, never in anything worse.
TEST(DecodeImage, SurvivesCutAndDamagedFiles) {
  const DecodeOptions options{.max_pixels = 1 << 16};  // a damaged size is not to fill memory
  for (const char* file :
       {"jpeg-420.jpg", "jpeg-444-progressive.jpg", "jpeg-cmyk.jpg", "jpeg-restart.jpg", "png-rgb-16-interlaced.png", "png-palette-4.png",
        "webp-lossless-alpha.webp", "webp-lossy.webp", "webp-frame-inside.webp", "gif-frame-inside.gif", "bmp-rle8.bmp",
        "pnm-3-comments.ppm", "tiff-lzw.tiff", "tiff-jpeg.tiff", "tiff-planar-deflate.tiff", "tiff-palette-4.tiff"}) {
    const std::string content = read_file(kFolder / file);
    for (size_t i = 0; i < content.size(); ++i) {
      try {
        decode_image(bytes_of(content.substr(0, i)), options);
      } catch (const UserError&) {
      }
      for (const int mask : {0x01, 0x80, 0xff}) {
        std::string damaged = content;
        damaged[i] = static_cast<char>(damaged[i] ^ mask);
        try {
          decode_image(bytes_of(damaged), options);
        } catch (const UserError&) {
        }
      }
    }
  }
}

}  // namespace
}  // namespace multimeditron
