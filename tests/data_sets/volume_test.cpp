#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "data/image_loader.h"
#include "image/dicom_series.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const fs::path kMedical = fs::path(TEST_DATA) / "medical";

std::string complaint(const std::function<void()>& body) {
  try {
    body();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no complaint";
}

RgbImage decode(const Attachment& attachment, const LoaderSpec& loader, const fs::path& folder = {}) {
  const std::string bytes = load_attachment(attachment, {&loader, 1}, folder);
  return decode_image(std::as_bytes(std::span(bytes)), decode_options(attachment.type, {&loader, 1}, nullptr));
}

std::vector<uint8_t> direct(const std::string& file, const VolumeOptions& options) {
  const std::string bytes = read_file(kMedical / file);
  return decode_image(std::as_bytes(std::span(bytes)), {.volume = options}).pixels;
}

TEST(VolumeLoaders, KeysOfTheLoaderChooseSliceAndWindow) {
  const LoaderSpec loader{
      .loader_type = "fs-volume", .base_path = kMedical.string(), .scan = {.window = "100,200", .axis = "coronal", .slice = "1"}};
  EXPECT_EQ(decode({.type = "image", .path = "ras.nii.gz"}, loader).pixels,
            direct("ras.nii", {.window = Window{100, 200}, .plane = SlicePlane::kCoronal, .slice = 1}));
  const LoaderSpec raw{.loader_type = "raw-volume", .scan = {.window = "percentile", .axis = "sagittal"}};
  EXPECT_EQ(decode({.type = "image", .bytes = read_file(kMedical / "las.nii")}, raw).pixels,
            direct("las.nii", {.shading = Shading::kPercentile, .plane = SlicePlane::kSagittal}));
  const LoaderSpec image{.loader_type = "raw-image", .scan = {.window = "lung", .frame = 0}};
  EXPECT_EQ(decode({.type = "image", .bytes = read_file(kMedical / "ct-explicit.dcm")}, image).pixels,
            direct("ct-explicit.dcm", {.window = Window{-600, 1500}}));
  const LoaderSpec time{.loader_type = "fs-volume", .scan = {.volume = 2}};
  EXPECT_EQ(decode({.type = "image", .path = "time.nii.gz"}, time, kMedical).pixels, direct("time.nii.gz", {.volume = 2}));
}

/// A folder of slices: copies of a file of the goldens, each with its place and its number written over a marked text.
class SeriesTest : public ::testing::Test {
 protected:
  /// Explicit little endian, 2 x 1 pixels of 8 bits, both of `value`.
  void write(const std::string& name, uint8_t value, const std::string& position, const std::string& number,
             const std::string& orientation = "1\\0\\0\\0\\1\\0", const std::string& series = "1.2.3") {
    std::string file(128, '\0');
    file += "DICM";
    const auto add = [&](uint16_t group, uint16_t element, const std::string& vr, std::string content) {
      if (content.size() % 2 != 0) content += vr == "UI" ? '\0' : ' ';
      const auto put = [&](uint16_t word) { file += {static_cast<char>(word & 0xff), static_cast<char>(word >> 8)}; };
      put(group), put(element);
      file += vr;
      if (vr == "OW") put(0), put(static_cast<uint16_t>(content.size())), put(0);
      if (vr != "OW") put(static_cast<uint16_t>(content.size()));
      file += content;
    };
    const auto word = [](char low) { return std::string{low, '\0'}; };
    add(2, 0x10, "UI", "1.2.840.10008.1.2.1");
    add(0x10, 0x10, "PN", "ZZPATIENTZZ");
    add(0x20, 0x0e, "UI", series);
    if (!number.empty()) add(0x20, 0x13, "IS", number);
    if (!position.empty()) add(0x20, 0x32, "DS", position);
    add(0x20, 0x37, "DS", orientation);
    add(0x28, 0x02, "US", word(1));
    add(0x28, 0x04, "CS", "MONOCHROME2");
    add(0x28, 0x10, "US", word(1)), add(0x28, 0x11, "US", word(2));
    add(0x28, 0x100, "US", word(8)), add(0x28, 0x101, "US", word(8)), add(0x28, 0x102, "US", word(7)), add(0x28, 0x103, "US", word(0));
    add(0x28, 0x1050, "DS", "128"), add(0x28, 0x1051, "DS", "256");
    add(0x7fe0, 0x10, "OW", std::string(2, static_cast<char>(value)));
    std::ofstream(folder_ / name, std::ios::binary) << file;
  }

  int shown(const std::string& slice, const std::string& axis = "") {
    const LoaderSpec loader{
        .loader_type = "fs-volume", .base_path = folder_.parent_path().string(), .scan = {.axis = axis, .slice = slice}};
    return decode({.type = "image", .path = folder_.filename().string()}, loader).pixels[0];
  }

  const multimeditron::TemporaryFolder temporary_;  // tests run beside each other
  const fs::path folder_ = temporary_.path();
};

TEST_F(SeriesTest, SlicesStandInTheOrderOfTheirPlaces) {
  // Names and numbers say otherwise; places along the normal count, from the feet.
  write("a", 30, "0\\0\\30.5", "1");
  write("b", 10, "0\\0\\-10", "2");
  write("c", 20, "0\\0\\7", "3");
  std::ofstream(folder_ / "README") << "no slice";
  EXPECT_EQ(shown("0"), 10);
  EXPECT_EQ(shown("middle"), 20);
  EXPECT_EQ(shown("2", "axial"), 30);
}

TEST_F(SeriesTest, SagittalSlicesAreCountedFromTheLeft) {
  for (int i = 0; i < 3; ++i)  // x grows to the patient's left
    write(std::to_string(i), static_cast<uint8_t>(10 + i), std::to_string(10 * i) + "\\0\\0", std::to_string(i), "0\\1\\0\\0\\0\\-1");
  EXPECT_EQ(shown("0"), 12);
  EXPECT_EQ(shown("2"), 10);
}

TEST_F(SeriesTest, WithoutPlacesTheNumbersCount) {
  write("a", 30, "", "12");
  write("b", 10, "", "2");
  write("c", 20, "", "9");
  EXPECT_EQ(shown("0"), 10);
  EXPECT_EQ(shown("2"), 30);
}

TEST_F(SeriesTest, WhatIsNoStackIsRefusedWithoutTheNameOfAPatient) {
  const auto refused = [&](const std::string& slice, const std::string& axis, const std::string& word) {
    const std::string text = complaint([&] { shown(slice, axis); });
    EXPECT_NE(text.find(word), std::string::npos) << text;
    EXPECT_NE(text.find("fix:"), std::string::npos) << text;
    EXPECT_EQ(text.find("ZZPATIENT"), std::string::npos) << text;
  };
  refused("0", "", "without DICOM slices");
  write("a", 1, "0\\0\\0", "1");
  write("b", 2, "0\\0\\1", "2");
  refused("2", "", "slice 2 of 2");
  refused("0", "coronal", "axis: axial");
  write("c", 3, "0\\0\\2", "3", "0\\1\\0\\0\\0\\-1");
  refused("0", "", "no stack");
  write("c", 3, "0\\0\\2", "3", "1\\0\\0\\0\\1\\0", "1.2.4");
  refused("0", "", "several DICOM series");
}

TEST_F(SeriesTest, LinksOutOfTheBaseAreRefused) {
  write("a", 1, "0\\0\\0", "1");
  const multimeditron::TemporaryFolder other;
  fs::copy_file(folder_ / "a", other / "b");
  fs::create_symlink(other / "b", folder_ / "b");
  const auto load = [&](const fs::path& base) {
    const LoaderSpec loader{.loader_type = "fs-volume", .base_path = base.string(), .scan = {.slice = "0"}};
    return complaint([&] { decode({.type = "image", .path = folder_.lexically_relative(base).string()}, loader); });
  };
  EXPECT_NE(load(folder_).find("leaves its folder"), std::string::npos);
  EXPECT_EQ(load(folder_.parent_path()), "no complaint");  // where the other folder lies, too
}

TEST_F(SeriesTest, HeadersAreReadAgainOnlyWhereAFileHasChanged) {
  write("a", 1, "0\\0\\0", "1");
  write("b", 2, "0\\0\\1", "2");
  const VolumeOptions view{.slice = 1};
  EXPECT_EQ(find_slice(folder_, view), folder_ / "b");
  const auto written = fs::last_write_time(folder_ / "b");
  const auto size = fs::file_size(folder_ / "b");
  std::ofstream(folder_ / "b") << std::string(size, 'x');
  fs::last_write_time(folder_ / "b", written);
  EXPECT_EQ(find_slice(folder_, view), folder_ / "b");
  fs::last_write_time(folder_ / "b", written + std::chrono::seconds(1));
  EXPECT_NE(complaint([&] { find_slice(folder_, view); }).find("slice 1 of 1"), std::string::npos);
  EXPECT_NE(complaint([&] { find_slice(folder_ / "gone", view); }).find("cannot open"), std::string::npos);
}

TEST(ImageLoader, OfWhatIsNoImageOnlyTheBeginningIsRead) {
  const multimeditron::TemporaryFolder folder;
  std::ofstream(folder / "a.png") << "no image";
  fs::resize_file(folder / "a.png", uintmax_t{2} << 30);
  const LoaderSpec loader{.loader_type = "fs-image", .base_path = folder.path().string()};
  EXPECT_NE(complaint([&] {
              load_attachment({.type = "image", .path = "a.png"}, {&loader, 1}, {});
            }).find("unidentified"),
            std::string::npos);
}

TEST(VolumeLoaders, AFolderIsForVolumesOnly) {
  const LoaderSpec loader{.loader_type = "fs-image", .base_path = kMedical.parent_path().string()};
  const std::string text = complaint([&] { decode({.type = "image", .path = "medical"}, loader); });
  EXPECT_NE(text.find("found: a folder"), std::string::npos) << text;
}

}  // namespace
}  // namespace multimeditron
