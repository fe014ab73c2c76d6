#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "image/dicom_file.h"
#include "image/samples.h"

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

std::string deflated(const std::string& text, bool is_gzip) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, is_gzip ? 16 + MAX_WBITS : -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
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

TEST(DecodeNifti, AGzipFileOfSeveralMembersIsOneFile) {
  const std::string plain = read_file(kFolder / "ras.nii");
  std::string members;
  for (size_t at = 0; at < plain.size(); at += 200) members += deflated(plain.substr(at, 200), true);
  members += deflated("", true);  // as bgzip ends
  EXPECT_EQ(decode_image(bytes_of(members)).pixels, decode_image(bytes_of(plain)).pixels);
  EXPECT_EQ(decode_image(bytes_of(members + "what is behind it")).pixels, decode_image(bytes_of(plain)).pixels);
  EXPECT_USER_ERROR(decode_image(bytes_of(deflated(plain, true).substr(0, 60))), "truncated", "gzip");
}

TEST(DecodeDicom, ABitThatCannotBeIsRefused) {
  const std::string file = read_file(kFolder / "ct-explicit.dcm");
  const std::string high_bit("\x28\0\x02\x01US\2\0", 8);
  const size_t at = file.find(high_bit);
  ASSERT_NE(at, std::string::npos);
  std::string wide = file;
  wide.replace(at, 10, std::string("\x28\0\x02\x01UL\4\0\xff\xff\xff\xff", 12));
  EXPECT_USER_ERROR(decode_image(bytes_of(wide)), "corrupt", "more than 64 bits");
}

TEST(DecodeDicom, OfADeflatedFileNoMoreIsUnfoldedThanAFrameNeeds) {
  const auto element = [](const char* tag, const std::string& vr, const std::string& value) {
    const auto size = static_cast<uint32_t>(value.size());
    std::string text = std::string(tag, 4) + vr + (vr == "OW" ? std::string(2, '\0') : "");
    for (int i = 0; i < (vr == "OW" ? 4 : 2); ++i) text += static_cast<char>(size >> 8 * i & 0xff);
    return text + value;
  };
  const auto word = [](char low, char high = 0) { return std::string{low, high}; };
  constexpr size_t kMegabyte = 1 << 20;
  const std::string data = element("\x28\0\x02\0", "US", word(1)) + element("\x28\0\x10\0", "US", word(0, 16)) +
                           element("\x28\0\x11\0", "US", word(0, 16)) + element("\x28\0\0\x01", "US", word(8)) +
                           element("\x28\0\x01\x01", "US", word(8)) + element("\xe0\x7f\x10\0", "OW", std::string(80 * kMegabyte, '\1'));
  const std::string file =
      std::string(128, '\0') + "DICM" + element("\x02\0\x10\0", "UI", "1.2.840.10008.1.2.1.99") + deflated(data, false);
  EXPECT_LE(read_dicom(bytes_of(file), 0, {}, /*with_pixels=*/false).inflated.size(), 16 * kMegabyte);
  const DicomFile whole = read_dicom(bytes_of(file), 1, {});
  EXPECT_GE(whole.native.size(), 32 * kMegabyte);  // two frames of 4096 x 4096
  EXPECT_LE(whole.inflated.size(), 50 * kMegabyte);
  EXPECT_EQ(decode_image(bytes_of(file)).width, 4096);
}

TEST(DecodeDicom, ScansWithoutEndAreRefused) {
  std::string jpeg("\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\1\1\x11\0", 15);
  for (int i = 0; i < 300; ++i) jpeg += std::string("\xff\xda\0\x08\1\1\0\0\x3f\0", 10);
  jpeg += "\xff\xd9";
  EXPECT_USER_ERROR(decode_deep_jpeg_samples(bytes_of(jpeg), read_jpeg_header(bytes_of(jpeg)), {8, 8, 1}), "corrupt", "256 scans");
}

TEST(DecodeJpeg2000, TileHeadersAreReadOnce) {
  const std::string whole = read_file(kFolder / "grey.j2k");
  std::string file = whole.substr(0, whole.find("\xff\x90"));
  for (int i = 0; i < 200'000; ++i) file += std::string("\xff\x90\0\x0a\0\0\0\0\0\x0c\0\1", 12);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(decode_image(bytes_of(file)), UserError);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(DecodeJpeg2000, APaletteHasAtMostFourComponents) {
  const std::string file = read_file(kFolder / "palette.jp2");
  const size_t at = file.find("pclr");
  ASSERT_NE(at, std::string::npos);
  std::string wide = file;
  wide[at + 6] = '\xff';
  EXPECT_USER_ERROR(decode_image(bytes_of(wide)), "unsupported", "palette");
}

TEST(DecodeJpeg2000, ClippedGreyIsNotFromSixteenBits) {
  const std::string file = read_file(kFolder / "grey-16.jp2");
  EXPECT_TRUE(decode_image(bytes_of(file)).is_from_sixteen_bit_grey);
  const RgbImage clipped = decode_image(bytes_of(file), {.sixteen_bit = SixteenBit::kClip});
  EXPECT_FALSE(clipped.is_from_sixteen_bit_grey);
  EXPECT_GT(std::count(clipped.pixels.begin(), clipped.pixels.end(), 255), 0);
}

TEST(DecodeJpeg2000, ADamagedCodestreamBeforeOtherBoxesIsNoCutOne) {
  std::string file = read_file(kFolder / "rgb.jp2");
  const size_t style = file.find("\xff\x52"), box = file.find("jp2c") - 4;
  ASSERT_NE(style, std::string::npos);
  file[style + 6] = file[style + 7] = 0;  // no layers
  const auto size = static_cast<uint32_t>(file.size() - box);
  for (int i = 0; i < 4; ++i) file[box + static_cast<size_t>(i)] = static_cast<char>(size >> 8 * (3 - i) & 0xff);
  file += std::string("\0\0\0\x28xml ", 8) + std::string(32, ' ');
  EXPECT_USER_ERROR(decode_image(bytes_of(file)), "corrupt");
}

}  // namespace
}  // namespace multimeditron
