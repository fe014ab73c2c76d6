#include "cli/demo/data_sets.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "cli/demo/studies.h"
#include "data/dataset.h"
#include "image/image.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

constexpr DataSetSizes kFew{60, 60, 60, 60, 60};

/// Data sets in a folder of their own for each test.
class DemoData : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / (std::string("demo_data_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::vector<Row> rows(const fs::path& folder) {
    const auto dataset = open_dataset(folder);
    std::vector<Row> rows;
    for (int64_t i = 0; i < dataset->size(); ++i) rows.push_back(dataset->row(i));
    return rows;
  }

  std::vector<Json> test_lines(const fs::path& folder) {
    std::istringstream stream(read_file(folder / "test.jsonl"));
    std::vector<Json> lines;
    for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  fs::path folder_;
};

bool is_jpeg(const std::string& bytes) {
  return bytes.starts_with("\xff\xd8");
}

/// Components of a baseline JPEG: 1 grey, 3 coloured (start of frame: marker, length, precision, height, width, components).
int components(const std::string& jpeg) {
  for (size_t at = 2; at + 9 < jpeg.size();) {
    if (jpeg[at + 1] == '\xc0') return jpeg[at + 9];
    at += 2 + 256 * static_cast<uint8_t>(jpeg[at + 2]) + static_cast<uint8_t>(jpeg[at + 3]);
  }
  return 0;
}

TEST_F(DemoData, HoldsOneImageForEachAttachmentToken) {
  write_data_sets(folder_, 0, kFew);
  for (const char* name : {"text", "alignment", "instructions"}) {
    const std::vector<Row> all = rows(folder_ / name);
    EXPECT_EQ(all.size(), 60u) << name;
    for (const Row& row : all) {
      size_t tokens = 0;
      for (const Message& message : row.conversations) tokens += message.content.find(kAttachmentToken) != std::string::npos;
      EXPECT_EQ(tokens, row.modalities.size());
      EXPECT_EQ(tokens, std::string(name) == "text" ? 0u : 1u) << name;
      EXPECT_EQ(row.conversations.size() % 2, 0u);
    }
  }
}

TEST_F(DemoData, PairsAreCaptionsWithTheirImage) {
  write_data_sets(folder_, 0, kFew);
  const std::vector<Row> all = rows(folder_ / "pairs");
  EXPECT_EQ(all.size(), 60u);
  for (const Row& row : all) {
    ASSERT_TRUE(row.text.has_value());
    EXPECT_EQ(row.text->find(kAttachmentToken), std::string::npos);
    ASSERT_EQ(row.modalities.size(), 1u);
    EXPECT_GT(decode_image(std::as_bytes(std::span(row.modalities[0].bytes))).width, 95);
  }
}

TEST_F(DemoData, TestLinesAskEveryQuestionOnFilesThatAreThere) {
  write_data_sets(folder_, 0, kFew);
  std::set<std::string> ids, images;
  std::map<std::string, int> kinds;
  for (const Json& line : test_lines(folder_)) {
    EXPECT_TRUE(ids.insert(line.at("id").get<std::string>()).second);
    images.insert(line.at("image").get<std::string>());
    ++kinds[line.at("kind").get<std::string>()];
    EXPECT_FALSE(line.at("question").get<std::string>().empty());
    EXPECT_FALSE(line.at("answer").get<std::string>().empty());
  }
  EXPECT_EQ(images.size(), 60u);
  for (const std::string& image : images) {
    const std::string bytes = read_file(folder_ / image);
    EXPECT_EQ(image.ends_with(".jpg"), is_jpeg(bytes)) << image;
    EXPECT_GT(decode_image(std::as_bytes(std::span(bytes))).height, 95) << image;
  }
  const std::map<std::string, int> expected = {{"kind of image", 60}, {"finding", 48}, {"side", 36},  {"size", 36},
                                               {"count", 36},         {"organ", 24},   {"colour", 12}};
  EXPECT_EQ(kinds, expected);
}

TEST_F(DemoData, NoImageOccursTwice) {
  write_data_sets(folder_, 0, kFew);
  std::set<std::string> images;
  for (const char* name : {"pairs", "alignment", "instructions"}) {
    for (const Row& row : rows(folder_ / name)) images.insert(row.modalities.at(0).bytes);
  }
  for (const auto& file : fs::directory_iterator(folder_ / "test-images")) images.insert(read_file(file.path()));
  EXPECT_EQ(images.size(), 240u);
}

TEST_F(DemoData, HalfOfTheImagesAreJpegSomeOfThemGrey) {
  write_data_sets(folder_, 0, {60, 240, 60, 60, 60});
  int jpeg = 0, grey = 0, coloured = 0;
  for (const Row& row : rows(folder_ / "pairs")) {
    if (!is_jpeg(row.modalities.at(0).bytes)) continue;
    ++jpeg;
    grey += components(row.modalities[0].bytes) == 1;
    coloured += components(row.modalities[0].bytes) == 3;
  }
  EXPECT_NEAR(jpeg / 240.0, 0.5, 0.1);
  EXPECT_GT(grey, 60);
  EXPECT_GT(coloured, 10);
}

TEST_F(DemoData, SameSeedSameBytes) {
  write_data_sets(folder_ / "a", 7, kFew);
  write_data_sets(folder_ / "b", 7, kFew);
  write_data_sets(folder_ / "c", 8, kFew);
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "a")) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const fs::path name = fs::relative(entry.path(), folder_ / "a");
    EXPECT_EQ(read_file(entry.path()), read_file(folder_ / "b" / name)) << name;
  }
  EXPECT_GT(files, 70);
  EXPECT_NE(read_file(folder_ / "a" / "test.jsonl"), read_file(folder_ / "c" / "test.jsonl"));
}

TEST_F(DemoData, WhatExistsIsLeftAloneAndWhatIsHalfDoneIsDoneAgain) {
  write_data_sets(folder_, 0, kFew);
  const auto written = fs::last_write_time(folder_ / "pairs" / "state.json");
  const std::string lines = read_file(folder_ / "test.jsonl");
  fs::remove_all(folder_ / "text");
  fs::create_directories(folder_ / "text.partial");
  write_file_atomic(folder_ / "text.partial" / "data-00000.arrow.partial", "half");
  fs::remove(folder_ / "test.jsonl");
  write_data_sets(folder_, 0, kFew);
  EXPECT_EQ(fs::last_write_time(folder_ / "pairs" / "state.json"), written);
  EXPECT_EQ(rows(folder_ / "text").size(), 60u);
  EXPECT_FALSE(fs::exists(folder_ / "text.partial"));
  EXPECT_EQ(read_file(folder_ / "test.jsonl"), lines);
}

TEST_F(DemoData, ComesWithALicenceAndAContactSheet) {
  write_data_sets(folder_, 0, kFew);
  EXPECT_NE(read_file(folder_ / "LICENSE.md").find("no patient"), std::string::npos);
  const std::string png = read_file(folder_ / "contact-sheet.png");
  const RgbImage sheet = decode_image(std::as_bytes(std::span(png)));
  EXPECT_EQ(sheet.width, 1182);
  EXPECT_EQ(sheet.height, 658);
}

TEST_F(DemoData, PythonsDatasetsAndPillowReadIt) {
  const char* named = std::getenv("MULTIMEDITRON_TEST_PYTHON");
  const std::string python = named != nullptr ? named : "python3";
  if (std::system((python + " -c 'import datasets, PIL' >/dev/null 2>&1").c_str()) != 0) {
    GTEST_SKIP() << python << " has no datasets and Pillow; MULTIMEDITRON_TEST_PYTHON names another";
  }
  write_data_sets(folder_, 0, kFew);
  const std::string script = std::string(TEST_DATA) + "/../reference/demo_data_sets.py";
  EXPECT_EQ(std::system((python + " '" + script + "' '" + folder_.string() + "'").c_str()), 0);
}

}  // namespace
}  // namespace multimeditron::demo
