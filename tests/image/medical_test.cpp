#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "image/image.h"

namespace multimeditron {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(TEST_DATA) / "medical";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string rgb_sha256(const RgbImage& image) {
  return sha256(std::as_bytes(std::span(image.pixels)));
}

VolumeOptions options_of(const Json& golden) {
  VolumeOptions options;
  if (const auto window = golden.find("window"); window != golden.end()) {
    if (window->is_array()) options.window = Window{(*window)[0], (*window)[1]};
    if (*window == "minmax") options.shading = Shading::kMinMax;
    if (*window == "percentile") options.shading = Shading::kPercentile;
  }
  options.frame = golden.value("frame", 0);
  options.volume = golden.value("volume", 0);
  if (golden.contains("slice")) options.slice = golden["slice"].get<int64_t>();
  const std::string plane = golden.value("plane", "");
  if (plane == "axial") options.plane = SlicePlane::kAxial;
  if (plane == "coronal") options.plane = SlicePlane::kCoronal;
  if (plane == "sagittal") options.plane = SlicePlane::kSagittal;
  return options;
}

/// The name that every DICOM file of the goldens bears as that of its patient.
const char* const kMarker = "ZZPATIENTZZ";

TEST(DecodeMedical, GivesThePicturesOfPydicomNibabelAndPillowOrNamesTheFault) {
  const Json goldens = read_json(kFolder / "goldens.json");
  ASSERT_GE(goldens["cases"].size(), 200u);
  for (const Json& golden : goldens["cases"]) {
    const std::string file = golden["file"];
    SCOPED_TRACE(golden.dump());
    const std::string content = read_file(kFolder / file);
    const DecodeOptions options{.volume = options_of(golden)};
    if (golden.contains("fault")) {
      try {
        decode_image(bytes_of(content), options);
        ADD_FAILURE() << "decoded without complaint";
      } catch (const UserError& error) {
        EXPECT_NE(error.message().find(golden["fault"].get<std::string>()), std::string::npos) << error.what();
        EXPECT_FALSE(error.details().fix.empty()) << error.what();
        EXPECT_EQ(std::string(error.what()).find(kMarker), std::string::npos) << error.what();
      }
      continue;
    }
    RgbImage image;
    ASSERT_NO_THROW(image = decode_image(bytes_of(content), options));
    EXPECT_EQ(image.width, golden["width"].get<int64_t>());
    EXPECT_EQ(image.height, golden["height"].get<int64_t>());
    EXPECT_EQ(rgb_sha256(image), golden["rgb_sha256"].get<std::string>());
    EXPECT_EQ(image.is_from_sixteen_bit_grey, golden.contains("sixteen_bit"));
  }
}

// Every prefix of a file and damaged bytes in it end in an image or a UserError, and none of them says whose image it is.
TEST(DecodeMedical, CutAndDamagedFilesNameNoPatient) {
  for (const char* file : {"ct-explicit.dcm", "ct-implicit.dcm", "ct-big-endian.dcm", "ct-deflated.dcm", "enhanced-undefined-lengths.dcm",
                           "palette-segmented.dcm", "rle-rgb.dcm", "jpeg-fragments.dcm", "voi-table.dcm", "ras.nii", "lps.nii.gz"}) {
    const std::string content = read_file(kFolder / file);
    const auto survives = [](const std::string& bytes) {
      try {
        decode_image(bytes_of(bytes), {.max_pixels = 1 << 16});
      } catch (const UserError& error) {
        EXPECT_EQ(std::string(error.what()).find(kMarker), std::string::npos) << error.what();
      }
    };
    for (size_t i = 0; i < content.size(); i += 3) {
      survives(content.substr(0, i));
      std::string damaged = content;
      damaged[i] = static_cast<char>(damaged[i] ^ (i % 2 == 0 ? 0x01 : 0xff));
      survives(damaged);
    }
  }
}

TEST(DecodeMedical, WhatIsAskedForAndNotThereIsNamedWithTheRemedy) {
  const std::string volume = read_file(kFolder / "ras.nii");
  try {
    decode_image(bytes_of(volume), {.volume = {.plane = SlicePlane::kCoronal, .slice = 6}});
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_NE(error.details().found.find("slice 6 of 6"), std::string::npos) << error.what();
    EXPECT_NE(error.details().fix.find("at most 5"), std::string::npos) << error.what();
  }
  const std::string frames = read_file(kFolder / "frames.dcm");
  try {
    decode_image(bytes_of(frames), {.volume = {.frame = 3}});
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_NE(error.details().found.find("frame 3 of 3"), std::string::npos) << error.what();
    EXPECT_NE(error.details().fix.find("`frame`"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace multimeditron
