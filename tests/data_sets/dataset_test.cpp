#include "data/dataset.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/dataset_writer.h"
#include "data_sets/row_json.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

using multimeditron::testing::complaint;
using multimeditron::testing::describe;
using multimeditron::testing::scratch;

const fs::path kFolder = fs::path(TEST_DATA) / "datasets";

TEST(Dataset, EveryFormGivesTheSameRows) {
  const Json goldens = read_json(kFolder / "goldens.json");
  ASSERT_GE(goldens.size(), 15u);
  for (const auto& [name, rows] : goldens.items()) {
    SCOPED_TRACE(name);
    const auto dataset = open_dataset(kFolder / name);
    ASSERT_EQ(dataset->size(), static_cast<int64_t>(rows.size()));
    EXPECT_FALSE(dataset->fingerprint().empty());
    for (int64_t i = 0; i < dataset->size(); ++i) EXPECT_EQ(describe(dataset->row(i)), rows[static_cast<size_t>(i)]) << "row " << i;
  }
}

/// A row an image, in the order of the names; what is no image, by its name, is passed over.
TEST(Dataset, AFolderOfImagesIsADataSet) {
  const fs::path folder = scratch("folder_of_images");
  fs::create_directories(folder / "b");
  for (const char* name : {"c.PNG", "a.jpeg", "b/x.dcm", "notes.txt", ".hidden.png"}) write_file_atomic(folder / name, "bytes");
  const auto dataset = open_dataset(folder);
  ASSERT_EQ(dataset->size(), 3);
  for (int64_t row = 0; row < 3; ++row) {
    ASSERT_EQ(dataset->row(row).modalities.size(), 1U);
    EXPECT_FALSE(dataset->row(row).text.has_value());
    EXPECT_EQ(dataset->row(row).modalities[0].path, (std::vector<std::string>{"a.jpeg", "b/x.dcm", "c.PNG"})[static_cast<size_t>(row)]);
  }
  EXPECT_EQ(dataset->folder(1), folder);
  const std::string before = dataset->fingerprint();
  write_file_atomic(folder / "a.jpeg", "other bytes");
  const std::string edited = open_dataset(folder)->fingerprint();
  EXPECT_NE(edited, before);
  write_file_atomic(folder / "a.jpeg", "OTHER BYTES");  // of the same size
  EXPECT_NE(open_dataset(folder)->fingerprint(), edited);
  const fs::path copy = scratch("folder_of_images_copied");
  fs::copy(folder, copy, fs::copy_options::recursive);
  EXPECT_EQ(open_dataset(copy)->fingerprint(), open_dataset(folder)->fingerprint());
}

TEST(Dataset, FormsOfTheWorkedExampleHoldTheSameSamples) {
  const fs::path data = fs::path(TEST_DATA) / "case_qwen3_clip/data";
  const auto arrow = open_dataset(data / "arrow"), parquet = open_dataset(data / "parquet"), json = open_dataset(data / "jsonl");
  ASSERT_EQ(arrow->size(), 20);
  ASSERT_EQ(parquet->size(), 20);
  ASSERT_EQ(json->size(), 20);
  for (int64_t i = 0; i < 20; ++i) {
    const Row row = arrow->row(i), file_row = json->row(i);
    EXPECT_EQ(describe(row), describe(parquet->row(i)));
    EXPECT_EQ(describe(row)["conversations"], describe(file_row)["conversations"]);
    ASSERT_EQ(row.modalities.size(), file_row.modalities.size());
    for (size_t k = 0; k < row.modalities.size(); ++k) {
      EXPECT_EQ(row.modalities[k].bytes, read_file(json->folder(i) / file_row.modalities[k].path));
    }
  }
}

TEST(Dataset, PlacesNameFileAndRow) {
  const auto saved = open_dataset(kFolder / "saved");
  EXPECT_TRUE(saved->place(0).ends_with("saved/data-00000-of-00003.arrow, row 0")) << saved->place(0);
  EXPECT_TRUE(saved->place(5).ends_with("saved/data-00002-of-00003.arrow, row 1")) << saved->place(5);
  const auto parquet = open_dataset(kFolder / "snapshot");
  EXPECT_TRUE(parquet->place(4).ends_with("train-00001-of-00002.parquet, row 0")) << parquet->place(4);
  const auto json = open_dataset(kFolder / "json/train.jsonl");
  EXPECT_TRUE(json->place(4).ends_with("train.jsonl, line 7")) << json->place(4);
}

TEST(Dataset, WrongColumnsAreToldWithWhatWasExpected) {
  const std::string columns = complaint([] { open_dataset(kFolder / "wrong/columns.arrow"); });
  for (const char* word : {"columns.arrow", "messages: list<item: string>", "picture: binary", "conversations: list<struct<role", "fix:"}) {
    EXPECT_NE(columns.find(word), std::string::npos) << columns;
  }
  EXPECT_NE(complaint([] { open_dataset(kFolder / "wrong/turns.arrow"); }).find("from: string"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "wrong/turns.arrow"); }).find("Rows of other programs"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "wrong/columns.parquet"); }).find("question: string"), std::string::npos);
  const std::string json = complaint([] { open_dataset(kFolder / "wrong/columns.jsonl"); });
  EXPECT_NE(json.find("the keys question, answer"), std::string::npos) << json;
  EXPECT_EQ(json.find("secret"), std::string::npos) << json;
}

TEST(Dataset, BadRowsAreToldByPlaceWithoutTheirText) {
  const auto json = open_dataset(kFolder / "wrong/rows.jsonl");
  ASSERT_EQ(json->size(), 6);
  EXPECT_EQ(json->row(0).text, "fine");
  for (int64_t i = 1; i < 6; ++i) {
    const std::string text = complaint([&] { json->row(i); });
    EXPECT_NE(text.find(fmt::format("rows.jsonl, line {}", i + 1)), std::string::npos) << text;
    EXPECT_EQ(text.find("secret"), std::string::npos) << text;
  }
  const auto arrow = open_dataset(kFolder / "wrong/rows.arrow");
  EXPECT_NE(complaint([&] { arrow->row(0); }).find("row 0, conversations, turn 1"), std::string::npos);
  EXPECT_NE(complaint([&] { arrow->row(1); }).find("row 1, modalities, item 1"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "wrong/cut.json"); }).find("cut.json"), std::string::npos);
}

TEST(Dataset, FoldersThatCannotBeMeantAreExplained) {
  EXPECT_NE(complaint([] { open_dataset(kFolder / "sa*"); }).find("a pattern stands for files"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "nowhere"); }).find("does not exist"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "nowhere/*.parquet"); }).find("no file matches"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "dictionary_without_train"); }).find("test"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset(kFolder / "configurations"); }).find("ct, mri"), std::string::npos);
  const fs::path folder = scratch("lists");
  std::ofstream(folder / "notes.txt") << "nothing to read";
  EXPECT_NE(complaint([&] { open_dataset(folder); }).find("notes.txt"), std::string::npos);
  std::ofstream(folder / "state.json") << R"({"_data_files": [{"filename": "../../secret.arrow"}]})";
  EXPECT_NE(complaint([&] { open_dataset(folder); }).find("outside itself"), std::string::npos);
  std::ofstream(folder / "state.json") << R"({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]})";
  EXPECT_NE(complaint([&] { open_dataset(folder); }).find("data-00000-of-00001.arrow is listed there"), std::string::npos);
  std::ofstream(folder / "empty.jsonl") << "\n";
  EXPECT_NE(complaint([&] { open_dataset(folder / "empty.jsonl"); }).find("no rows"), std::string::npos);
}

TEST(Dataset, FingerprintFollowsTheContentAndNotThePlace) {
  const fs::path folder = scratch("fingerprint");
  fs::copy(kFolder / "saved", folder / "saved", fs::copy_options::recursive);
  const std::string fingerprint = open_dataset(kFolder / "saved")->fingerprint();
  EXPECT_EQ(open_dataset(folder / "saved")->fingerprint(), fingerprint);
  fs::copy(kFolder / "json/train.jsonl", folder / "train.jsonl");
  const std::string before = open_dataset(folder / "train.jsonl")->fingerprint();
  std::ofstream(folder / "train.jsonl", std::ios::app) << "\n{\"text\": \"one more\"}\n";
  EXPECT_NE(open_dataset(folder / "train.jsonl")->fingerprint(), before);

  // Texts are read whole for it: no byte of a large file is too far from the others.
  for (const auto& [name, line] : {std::pair{"large.jsonl", "{\"text\": \"some words or other\"}\n"}, std::pair{"large.csv", "text\n"}}) {
    std::string text;
    while (text.size() < size_t{17} << 20) text += line;
    std::set<std::string> met;
    for (const size_t at : {size_t{0}, size_t{700'000}, size_t{9'000'000}, text.size() - 30'000}) {
      std::string edited = text;
      if (at > 0) edited[text.find('t', at)] = 'T';
      std::ofstream(folder / name) << edited;
      met.insert(open_dataset(folder / name)->fingerprint());
    }
    EXPECT_EQ(met.size(), 4U) << name;
  }
}

TEST(Dataset, ItemsOfAnArrayAreOnTheLinesOnWhichTheyBegin) {
  const fs::path file = scratch("array") / "train.json";
  std::ofstream(file) << "[\n  {\"text\": \"one\"},\n  {\"text\":\n   \"two\"}, {\"text\": \"three\"},\n\n  {\"text\": 4}\n]\n";
  const auto dataset = open_dataset(file);
  ASSERT_EQ(dataset->size(), 4);
  for (const auto& [row, line] : {std::pair{0, 2}, std::pair{1, 3}, std::pair{2, 4}, std::pair{3, 6}})
    EXPECT_TRUE(dataset->place(row).ends_with(fmt::format("train.json, line {}", line))) << dataset->place(row);
  EXPECT_NE(complaint([&] { dataset->row(3); }).find("train.json, line 6"), std::string::npos);
}

/// A folder stands in messages, and a file in the working directory has one, too.
TEST(Dataset, AFileInTheWorkingDirectoryHasAFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(kFolder / "json");
  const auto dataset = open_dataset("train.jsonl"), matched = open_dataset("trai*.jsonl");
  fs::current_path(before);
  EXPECT_EQ(dataset->folder(0), ".");
  EXPECT_EQ(matched->folder(0), ".");
}

TEST(Dataset, AJsonFileIsRefusedWhereNoneOfItsFirstRowsCanBeRead) {
  const fs::path folder = scratch("first_rows");
  std::ofstream(folder / "some.jsonl") << "{\"text\": \"cut\n{\"question\": 1}\n{\"text\": \"fine\"}\n";
  const auto dataset = open_dataset(folder / "some.jsonl");
  ASSERT_EQ(dataset->size(), 3);
  EXPECT_EQ(dataset->row(2).text, "fine");
  EXPECT_NE(complaint([&] { dataset->row(0); }).find("some.jsonl, line 1"), std::string::npos);
  std::ofstream(folder / "none.jsonl") << "{\"text\": \"cut\n1\n2\n3\n4\n{\"text\": \"fine\"}\n";
  EXPECT_NE(complaint([&] { open_dataset(folder / "none.jsonl"); }).find("none.jsonl, line 1"), std::string::npos);
}

TEST(Dataset, Utf16IsNamed) {
  const fs::path folder = scratch("utf16");
  for (const char* name : {"rows.jsonl", "rows.csv"}) {
    const std::string ascii = fs::path(name).extension() == ".csv" ? "text\nfine\n" : "{\"text\": \"fine\"}\n";
    for (const std::string mark : {"", "\xff\xfe"}) {
      std::string wide = mark;
      for (const char c : ascii) wide += {c, '\0'};
      write_file_atomic(folder / name, wide);
      const std::string text = complaint([&] { open_dataset(folder / name); });
      for (const char* word : {name, "UTF-16", "iconv"}) EXPECT_NE(text.find(word), std::string::npos) << text;
    }
  }
}

// Prefixes and damaged bytes of a file end in rows or in a UserError that names the file, never in anything worse.
TEST(Dataset, CutAndDamagedFilesAreErrorsThatNameTheFile) {
  const fs::path folder = scratch("damage");
  const auto read_all = [&](const fs::path& file, const std::string& content) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
    try {
      const auto dataset = open_dataset(file);
      for (int64_t i = 0; i < std::min<int64_t>(dataset->size(), 10); ++i) {
        try {
          dataset->row(i);
        } catch (const UserError& error) {
          EXPECT_NE(std::string(error.what()).find(file.filename().string()), std::string::npos) << error.what();
        }
      }
      return true;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find(file.filename().string()), std::string::npos) << error.what();
      return false;
    }
  };
  for (const char* name : {"binary_values.arrow", "file_format.arrow", "large_types.arrow", "snapshot/data/train-00000-of-00002.parquet"}) {
    SCOPED_TRACE(name);
    const std::string content = read_file(kFolder / name);
    const fs::path file = folder / fs::path(name).filename();
    for (size_t size = 0; size < content.size(); size += content.size() / 150 + 1)
      EXPECT_FALSE(read_all(file, content.substr(0, size))) << size;
    for (size_t i = 0; i < content.size(); i += content.size() / 300 + 1) {
      std::string damaged = content;
      damaged[i] = static_cast<char>(damaged[i] ^ (i % 2 == 0 ? 0xff : 0x10));
      read_all(file, damaged);
    }
  }
}

TEST(Dataset, StreamCutBetweenTwoBatchesIsNotTakenForAWholeOne) {
  const std::string content = read_file(kFolder / "binary_values.arrow");
  const fs::path file = scratch("end_mark") / "cut.arrow";
  std::ofstream(file, std::ios::binary) << content.substr(0, content.size() - 8);
  EXPECT_NE(complaint([&] { open_dataset(file); }).find("end mark"), std::string::npos);
}

TEST(Dataset, RowsMayBeReadFromManyThreads) {
  for (const char* name : {"saved", "snapshot", "json/train.jsonl", "large_types.parquet"}) {
    const auto dataset = open_dataset(kFolder / name);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&dataset, t] {
        for (int64_t i = 0; i < 200; ++i) dataset->row((i * 7 + t) % dataset->size());
      });
    }
  }
}

Recipe recipe_of(std::vector<DatasetSpec> datasets) {
  Recipe recipe;
  recipe.file = kFolder / "recipe.yaml";
  recipe.datasets = std::move(datasets);
  return recipe;
}

TEST(OpenDatasets, FollowOneAnotherAndAreFoundBesideTheRecipe) {
  const auto whole = open_datasets(recipe_of({{.packed_path = "snapshot", .max_samples = 2},
                                              {.packed_path = "snapshot/data/train-*.parquet", .weight = 1.0},
                                              {.packed_path = (kFolder / "json/train.jsonl").string(), .max_samples = 100}}));
  ASSERT_EQ(whole->size(), 2 + 6 + 6);
  const auto snapshot = open_dataset(kFolder / "snapshot");
  EXPECT_EQ(describe(whole->row(1)), describe(snapshot->row(1)));
  EXPECT_EQ(describe(whole->row(2)), describe(snapshot->row(0)));
  EXPECT_TRUE(whole->place(8).ends_with("train.jsonl, line 1"));
  EXPECT_EQ(whole->folder(8), kFolder / "json");
  const auto less = open_datasets(recipe_of({{.packed_path = "snapshot", .max_samples = 3}}));
  EXPECT_NE(less->fingerprint(), snapshot->fingerprint());
}

TEST(OpenDatasets, WeightsAndMissingDataNameTheirKey) {
  EXPECT_NE(complaint([] {
              const Recipe recipe = recipe_of({{.packed_path = "snapshot"}, {.packed_path = "json", .weight = 0.5}});
              open_datasets(recipe.datasets, recipe.file);
            }).find("datasets.1.weight"),
            std::string::npos);
  EXPECT_NE(complaint([] { open_datasets(recipe_of({{.packed_path = "not_there"}})); }).find("datasets.0.packed_path"), std::string::npos);
}

TEST(DatasetWriter, WritesWhatIsReadAgain) {
  const fs::path folder = scratch("writer") / "saved";
  const auto source = open_dataset(kFolder / "saved");
  DatasetWriter writer(folder, 150);
  std::vector<Row> rows;
  for (int64_t i = 0; i < 400; ++i) {
    Row row = source->row(std::array{0, 2, 4, 5}[static_cast<size_t>(i % 4)]);
    row.conversations[0].content += std::to_string(i);
    writer.add(row);
    rows.push_back(std::move(row));
  }
  EXPECT_NE(complaint([&] { open_dataset(folder); }).find("no data set"), std::string::npos);
  writer.close();
  const auto dataset = open_dataset(folder);
  ASSERT_EQ(dataset->size(), 400);
  for (int64_t i = 0; i < 400; ++i) EXPECT_EQ(describe(dataset->row(i)), describe(rows[static_cast<size_t>(i)]));
  EXPECT_TRUE(dataset->place(399).ends_with("data-00002-of-00003.arrow, row 99")) << dataset->place(399);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 5);

  // The description has the keys that `datasets` writes.
  const Json written = read_json(folder / "state.json"), original = read_json(kFolder / "saved/state.json");
  for (const auto& [key, value] : original.items()) {
    EXPECT_TRUE(written.contains(key)) << key;
    if (key != "_fingerprint" && key != "_data_files") {
      EXPECT_EQ(written[key], value);
    }
  }
  EXPECT_NE(complaint([&] { DatasetWriter again(folder); }).find("not empty"), std::string::npos);
}

TEST(DatasetWriter, RefusesRowsOfTwoKinds) {
  DatasetWriter writer(scratch("kinds"));
  writer.add({.text = "a text"});
  EXPECT_NE(complaint([&] { writer.add({.conversations = {{"user", "hi"}}}); }).find("does not fit"), std::string::npos);
  EXPECT_NE(complaint([&] { writer.add({}); }).find("does not fit"), std::string::npos);
}

}  // namespace
}  // namespace multimeditron
