#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
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
  ASSERT_GE(goldens["decoded"].size(), 90u);
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
    EXPECT_EQ(image.is_from_sixteen_bit_grey, file.starts_with("png-grey-16"));
  }
}

TEST(DecodeImage, RefusedKindsAreNamedWithTheRemedy) {
  for (const auto& [file, name] : {std::pair("other.webp", "WebP"), {"other.tiff", "TIFF"}, {"other.gif", "GIF"}, {"other.bmp", "BMP"}}) {
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

// Every prefix of a file and every single damaged byte ends in an image or a UserError, never in anything worse.
TEST(DecodeImage, SurvivesCutAndDamagedFiles) {
  for (const char* file : {"jpeg-420.jpg", "jpeg-444-progressive.jpg", "jpeg-cmyk.jpg", "jpeg-restart.jpg", "png-rgb-16-interlaced.png",
                           "png-palette-4.png", "png-animated.png"}) {
    const std::string content = read_file(kFolder / file);
    for (size_t i = 0; i < content.size(); ++i) {
      try {
        decode_image(bytes_of(content.substr(0, i)));
      } catch (const UserError&) {
      }
      for (const int mask : {0x01, 0x80, 0xff}) {
        std::string damaged = content;
        damaged[i] = static_cast<char>(damaged[i] ^ mask);
        try {
          decode_image(bytes_of(damaged));
        } catch (const UserError&) {
        }
      }
    }
  }
}

}  // namespace
}  // namespace multimeditron
