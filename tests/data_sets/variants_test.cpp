#include <arrow/buffer.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <set>

#include "base/file.h"
#include "data/columns.h"
#include "data/combined.h"
#include "data/csv.h"
#include "data/decoded_cache.h"
#include "data/image_loader.h"
#include "data/sampler.h"
#include "data_sets/row_json.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

using multimeditron::testing::complaint;
using multimeditron::testing::describe;
using multimeditron::testing::scratch;

const fs::path kFolder = fs::path(TEST_DATA) / "dataset_variants";

TEST(DatasetVariants, EveryLayoutOfColumnsIsReadAsPythonReadsIt) {
  const Json goldens = read_json(kFolder / "goldens.json");
  ASSERT_GE(goldens.size(), 35u);
  for (const auto& [name, rows] : goldens.items()) {
    SCOPED_TRACE(name);
    try {
      const auto dataset = open_dataset(kFolder / name);
      ASSERT_EQ(dataset->size(), static_cast<int64_t>(rows.size()));
      for (int64_t i = 0; i < dataset->size(); ++i) {
        EXPECT_EQ(describe(dataset->row(i)), rows[static_cast<size_t>(i)]) << "row " << i;
        // The text alone: the same but for the images' bytes.
        const Row whole = dataset->row(i), text = dataset->text_row(i);
        EXPECT_EQ(text.text, whole.text);
        ASSERT_EQ(text.modalities.size(), whole.modalities.size());
        for (size_t k = 0; k < text.modalities.size(); ++k) EXPECT_EQ(text.modalities[k].bytes.empty(), whole.modalities[k].bytes.empty());
      }
    } catch (const UserError& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

// Written by versions 1.2 to 5 of `datasets`, see tests/reference/old_data_sets.
TEST(DatasetVariants, FoldersOfEveryVersionOfDatasetsAreRead) {
  const fs::path folder = fs::path(TEST_DATA) / "dataset_versions";
  const Json rows = read_json(folder / "rows.json");
  int versions = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    ++versions;
    for (const auto& [name, expected] : rows.items()) {
      const fs::path path = entry.path() / name;
      if (!fs::exists(path)) continue;  // a version that had no images yet
      SCOPED_TRACE(path.string());
      const auto dataset = open_dataset(path);
      ASSERT_EQ(dataset->size(), static_cast<int64_t>(expected.size()));
      for (int64_t i = 0; i < dataset->size(); ++i) EXPECT_EQ(describe(dataset->row(i)), expected[static_cast<size_t>(i)]) << "row " << i;
    }
  }
  EXPECT_GE(versions, 5);
}

TEST(DatasetVariants, WrongRowsAndFilesNameTheirPlace) {
  const auto wrong = [](const char* name) {
    return complaint([&] {
      const auto dataset = open_dataset(kFolder / "wrong" / name);
      for (int64_t i = 0; i < dataset->size(); ++i) dataset->row(i);
    });
  };
  const auto expect = [&](const char* name, std::initializer_list<const char*> words) {
    const std::string text = wrong(name);
    for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << name << ": " << text;
    EXPECT_EQ(text.find("secret"), std::string::npos) << text;
  };
  expect("latin1.arrow", {"latin1.arrow, row 1", "not UTF-8"});
  expect("lengths.arrow", {"lengths.arrow, row 0", "`role` and `content` differ in length", "2 and 1"});
  expect("indices", {"indices.arrow", "row 4 of 4 rows"});
  expect("open_quote.csv", {"open_quote.csv, line 3", "never closed"});
  expect("fields.csv", {"fields.csv, line 2", "1, not 2"});
  expect("columns.csv", {"columns.csv, line 1", "question, answer"});
}

TEST(DatasetVariants, FilesThatUnpackToMuchAreRefused) {
  for (const char* name : {"bomb.arrow", "bomb.parquet"}) {
    const std::string text = complaint([&] {
      const auto dataset = open_dataset(kFolder / "wrong" / name);
      dataset->row(0);
    });
    EXPECT_NE(text.find("more than 256 MB"), std::string::npos) << text;
    EXPECT_NE(text.find(name), std::string::npos) << text;
  }
}

TEST(DecodedCache, DataSetsShareOneRoom) {
  constexpr int64_t kSize = DecodedCache::kMostBytes / 8 * 3;  // two fit, three do not
  std::vector<std::pair<std::shared_ptr<BoundedPool>, std::unique_ptr<arrow::Buffer>>> held;
  const auto unpack = [&](DecodedRows& rows) {
    rows.pool = std::make_shared<BoundedPool>(DecodedCache::kMostBytes);
    held.emplace_back(rows.pool, arrow::AllocateBuffer(kSize, rows.pool.get()).ValueOrDie());  // never touched
  };
  // What a group takes counts, not the byte that it is expected to take.
  DecodedCache first, third;
  auto second = std::make_unique<DecodedCache>();
  const std::weak_ptr<DecodedRows> a = first.get(0, 1, unpack), b = second->get(0, 1, unpack);
  EXPECT_FALSE(a.expired());
  EXPECT_EQ(first.get(0, 1, [](DecodedRows&) { FAIL() << "it is there"; }), a.lock());
  const std::weak_ptr<DecodedRows> c = third.get(0, 1, unpack);
  EXPECT_TRUE(b.expired()) << "used less recently than the first";
  EXPECT_FALSE(a.expired());
  const std::weak_ptr<DecodedRows> d = second->get(1, 1, unpack);
  EXPECT_FALSE(d.expired());
  second.reset();
  EXPECT_TRUE(d.expired()) << "goes with its data set";
  EXPECT_FALSE(c.expired());
}

TEST(DatasetVariants, PipesSocketsAndDevicesAreNotOpened) {
  const fs::path folder = scratch("pipes");
  ASSERT_EQ(::mkfifo((folder / "pipe.jsonl").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_NE(complaint([&] { open_dataset(folder / "pipe.jsonl"); }).find("a pipe, a socket or a device"), std::string::npos);
  EXPECT_NE(complaint([&] { open_dataset(folder / "pipe"); }).find("ordinary file"), std::string::npos);
  EXPECT_NE(complaint([&] { open_dataset((folder / "pi*").string()); }).find("ordinary file"), std::string::npos);
  EXPECT_NE(complaint([] { open_dataset("/dev/zero"); }).find("ordinary file"), std::string::npos);
}

TEST(ImagePaths, OnlyOrdinaryFilesBelowTheirFolderAreRead) {
  const fs::path folder = scratch("image_paths"), images = folder / "images";
  fs::create_directories(images / "inner");
  std::ofstream(folder / "secret.png") << "secret";
  std::ofstream(images / "fine.png") << "fine";
  fs::create_symlink(folder / "secret.png", images / "link.png");
  fs::create_symlink(images / "fine.png", images / "inner" / "inside.png");
  fs::create_symlink(images / "round.png", images / "round.png");
  ASSERT_EQ(::mkfifo((images / "pipe.png").c_str(), 0600), 0);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string socket_file = (images / "socket.png").string();
  if (socket_file.size() < sizeof(address.sun_path)) {
    std::memcpy(address.sun_path, socket_file.c_str(), socket_file.size() + 1);
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }

  EXPECT_EQ(read_image_file(images, "fine.png"), "fine");
  EXPECT_EQ(read_image_file(images, "inner/../fine.png"), "fine");
  EXPECT_EQ(read_image_file(images, "inner/inside.png"), "fine");
  const auto start = std::chrono::steady_clock::now();
  const auto expect = [&](const std::string& path, const char* word) {
    const std::string text = complaint([&] { read_image_file(images, path); });
    EXPECT_NE(text.find(word), std::string::npos) << path << ": " << text;
  };
  for (const char* path : {"../secret.png", "inner/../../secret.png", "link.png", "/etc/passwd"}) expect(path, "leaves its folder");
  expect((folder / "secret.png").string(), "leaves its folder");
  expect(std::string("fine.png\0/../../secret.png", 26), "zero byte");
  expect("pipe.png", "a pipe");
  if (socket_file.size() < sizeof(address.sun_path)) expect("socket.png", "a socket");
  expect("inner", "a folder");
  expect("none.png", "missing");
  expect("round.png", "cannot find a file");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  ::close(fd);
}

TEST(Csv, RecordsAreThoseOfRfc4180) {
  const auto records = [](std::string_view text, char separator = ',') {
    CsvReader reader(text, separator);
    std::vector<std::vector<std::string>> all;
    for (std::vector<std::string> fields; reader.next(fields);) all.push_back(fields);
    return all;
  };
  using Records = std::vector<std::vector<std::string>>;
  EXPECT_EQ(records("a,b\r\n\"c,\"\"d\"\"\ne\",\n\n,f"), (Records{{"a", "b"}, {"c,\"d\"\ne", ""}, {"", "f"}}));
  EXPECT_EQ(records("\xef\xbb\xbfx\ty\"z\n", '\t'), (Records{{"x", "y\"z"}}));
  EXPECT_EQ(records("\"\"\r1\r"), (Records{{""}, {"1"}}));
  EXPECT_EQ(records(""), Records{});
  EXPECT_NE(complaint([&] { records("a\n\"b\"c"); }).find("line 2"), std::string::npos);
  EXPECT_NE(complaint([&] { records("a\n\n\"b"); }).find("line 3"), std::string::npos);
}

TEST(Csv, ARecordThatCannotBeUsedIsABadRow) {
  const fs::path folder = scratch("csv_rows");
  std::ofstream(folder / "some.csv") << "text,image\none,\ntwo,,\n\"three\" x,\nfour,\n";
  const auto dataset = open_dataset(folder / "some.csv");
  ASSERT_EQ(dataset->size(), 4);
  EXPECT_EQ(dataset->row(0).text, "one");
  EXPECT_EQ(dataset->row(3).text, "four");
  const std::string fields = complaint([&] { dataset->row(1); }), quote = complaint([&] { dataset->row(2); });
  EXPECT_NE(fields.find("some.csv, line 3\n"), std::string::npos) << fields;
  EXPECT_NE(fields.find("3, not 2"), std::string::npos) << fields;
  EXPECT_NE(quote.find("some.csv, line 4\n"), std::string::npos) << quote;
  EXPECT_NE(quote.find("behind a closing quote"), std::string::npos) << quote;

  std::ofstream(folder / "none.csv") << "text,image\n1\n2\n3\n4\n5\n6,\n";
  EXPECT_NE(complaint([&] { open_dataset(folder / "none.csv"); }).find("none.csv, line 2"), std::string::npos);
  std::ofstream(folder / "lost.csv") << "text,image\none,\n\"two,\nthree,\n";
  EXPECT_NE(complaint([&] { open_dataset(folder / "lost.csv"); }).find("never closed"), std::string::npos);
}

/// Rows that say their own number.
class Numbered : public Dataset {
 public:
  explicit Numbered(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  Row row(int64_t index) const override { return {.text = std::to_string(index), .conversations = {}, .modalities = {}}; }
  std::string fingerprint() const override { return std::to_string(size_); }
  std::string place(int64_t index) const override { return std::to_string(index); }

 private:
  int64_t size_;
};

std::unique_ptr<Dataset> weighted(std::vector<std::pair<int64_t, double>> parts, uint64_t seed) {
  std::vector<std::unique_ptr<Dataset>> sets;
  std::vector<double> weights;
  for (const auto& [size, weight] : parts) {
    sets.push_back(std::make_unique<Numbered>(size));
    weights.push_back(weight);
  }
  return concatenation(std::move(sets), std::move(weights), seed);
}

std::vector<int64_t> epoch_of(const Dataset& dataset, int64_t epoch) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < dataset.rows_per_epoch(); ++i) rows.push_back(dataset.row_of_epoch(epoch, i));
  return rows;
}

TEST(Weights, PermutationsAreWholeAndDiffer) {
  for (const int64_t size : {1, 2, 3, 7, 64, 1000}) {
    std::set<int64_t> met;
    for (int64_t i = 0; i < size; ++i) met.insert(permuted(i, size, 5));
    EXPECT_EQ(static_cast<int64_t>(met.size()), size);
    EXPECT_EQ(*met.rbegin(), size - 1);
  }
  int64_t equal = 0;
  for (int64_t i = 0; i < 1000; ++i) equal += permuted(i, 1000, 1) == permuted(i, 1000, 2);
  EXPECT_LT(equal, 20);
}

TEST(Weights, EachRowIsTakenAsOftenAsItsWeightSays) {
  const auto dataset = weighted({{10, 2.0}, {8, 1.0}, {9, 1.0 / 3}}, 7);
  EXPECT_EQ(dataset->size(), 27);
  ASSERT_EQ(dataset->rows_per_epoch(), 20 + 8 + 3);
  std::vector<int64_t> taken(27);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<int64_t> of_epoch(27);
    for (const int64_t row : epoch_of(*dataset, epoch)) ++of_epoch[static_cast<size_t>(row)];
    for (size_t row = 0; row < 10; ++row) EXPECT_EQ(of_epoch[row], 2) << row;
    for (size_t row = 10; row < 18; ++row) EXPECT_EQ(of_epoch[row], 1) << row;
    for (size_t row = 0; row < 27; ++row) taken[row] += of_epoch[row];
  }
  // Three epochs of a third: every row once.
  for (size_t row = 18; row < 27; ++row) EXPECT_EQ(taken[row], 3 * 1 / 3) << row;
}

TEST(Weights, OrderIsAFunctionOfSeedAndEpoch) {
  const auto dataset = weighted({{100, 0.5}}, 1), again = weighted({{100, 0.5}}, 1), other = weighted({{100, 0.5}}, 2);
  EXPECT_EQ(epoch_of(*dataset, 4), epoch_of(*again, 4));
  EXPECT_NE(epoch_of(*dataset, 4), epoch_of(*other, 4));
  EXPECT_NE(epoch_of(*dataset, 4), epoch_of(*dataset, 5));
  EXPECT_NE(dataset->fingerprint(), weighted({{100, 1.0}}, 1)->fingerprint());
  // Weight 1 draws nothing: runs are as they were without weights.
  const auto plain = weighted({{5, 1.0}, {3, 1.0}}, 1);
  EXPECT_EQ(epoch_of(*plain, 2), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(Weights, ColumnsAreThoseOfTheData) {
  const DatasetSpec spec{.packed_path = (kFolder / "plain.parquet").string(), .weight = 2.0, .max_samples = {}};
  const auto names = [](const Dataset& dataset) {
    std::vector<std::string> all;
    for (const Column& column : columns_of(dataset)) all.push_back(column.name);
    return all;
  };
  const std::vector<std::string> expected = names(*open_dataset(kFolder / "plain.parquet"));
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(names(*open_datasets(std::span(&spec, 1), "recipe.yaml", "datasets", 1)), expected);
}

TEST(Weights, TheSamplerTakesThemInEachEpoch) {
  const auto dataset = weighted({{6, 2.0}, {10, 0.5}}, 3);
  Sampler sampler(dataset->rows_per_epoch(), 3, 42, 4,
                  [&](int64_t epoch, int64_t position) { return dataset->row_of_epoch(epoch, position); });
  ASSERT_EQ(sampler.batches_per_epoch(), 5);
  std::vector<int64_t> taken(16);
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    for (int64_t i = 0; i < 5; ++i) {
      for (const int64_t row : sampler.batch(epoch, i)) ++taken[static_cast<size_t>(row)];
    }
  }
  for (size_t row = 0; row < 16; ++row) EXPECT_EQ(taken[row], row < 6 ? 4 : 1) << row;
}

TEST(Roles, AMisspeltOneIsToldOnceADataSet) {
  const fs::path file = scratch("roles") / "train.jsonl";
  std::ofstream(file) << R"({"conversations": [{"role": "user", "content": "secret?"}, {"role": "asistant", "content": "x"}]})"
                      << "\n"
                      << R"({"conversations": [{"role": "secret", "content": "y"}, {"role": "assistant", "content": "x"}]})"
                      << "\n";
  ::testing::internal::CaptureStderr();
  {
    const auto dataset = open_dataset(file);
    dataset->row(0);
    dataset->row(1);
  }
  const std::string told = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(told.find("train.jsonl, line 1, turn 2: the role `asistant`"), std::string::npos) << told;
  EXPECT_NE(told.find("did you mean `assistant`?"), std::string::npos) << told;
  EXPECT_EQ(told.find("secret"), std::string::npos) << told;
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1) << told;
}

TEST(Hub, PartsOfADataSetAreFoundInTheCache) {
  const fs::path cache = scratch("hub"), snapshot = cache / "datasets--org--name/snapshots/0123456789";
  fs::create_directories(snapshot / "ct/data");
  fs::create_directories(cache / "datasets--org--name/refs");
  std::ofstream(cache / "datasets--org--name/refs/main") << "0123456789";
  fs::copy(kFolder / "plain.parquet", snapshot / "ct/data/train-00000-of-00001.parquet");
  ::setenv("HF_HUB_CACHE", cache.c_str(), 1);
  for (const char* name : {"org/name", "org/name@main", "org/name/ct", "org/name@0123456/ct/data", "org/name/ct/data/train-*.parquet",
                           "org/name/ct/data/train-00000-of-00001.parquet"}) {
    const DatasetSpec spec{.packed_path = name, .weight = {}, .max_samples = {}};
    EXPECT_EQ(complaint([&] { EXPECT_EQ(open_datasets(std::span(&spec, 1), "recipe.yaml")->size(), 4); }), "no complaint") << name;
  }
  const DatasetSpec outside{.packed_path = "org/name/../../../secret", .weight = {}, .max_samples = {}};
  EXPECT_NE(complaint([&] { open_datasets(std::span(&outside, 1), "recipe.yaml"); }).find("cannot find"), std::string::npos);
  ::unsetenv("HF_HUB_CACHE");
}

/// The hub's snapshots hold links to files that are named by their hashes.
TEST(Hub, FilesOfASnapshotAreKnownByTheirOwnNames) {
  const fs::path repository = scratch("hub_links") / "datasets--org--name", snapshots = repository / "snapshots";
  fs::create_directories(repository / "blobs");
  const auto link = [&](const fs::path& file, const std::string& blob, const std::string& text) {
    std::ofstream(repository / "blobs" / blob) << "{\"text\": \"" << text << "\"}\n";
    fs::create_directories((snapshots / file).parent_path());
    fs::create_symlink(repository / "blobs" / blob, snapshots / file);
  };
  link("0123/data/test-00000-of-00001.jsonl", "0a", "test");
  link("0123/data/train-00000-of-00002.jsonl", "2c", "first");
  link("0123/data/train-00001-of-00002.jsonl", "1b", "second");
  link("0123/data/validation-00000-of-00001.jsonl", "3d", "validation");
  const auto dataset = open_dataset(snapshots / "0123");
  ASSERT_EQ(dataset->size(), 2);
  EXPECT_EQ(dataset->row(0).text, "first");
  EXPECT_EQ(dataset->row(1).text, "second");
  EXPECT_TRUE(dataset->place(1).ends_with("train-00001-of-00002.jsonl, line 1")) << dataset->place(1);

  link("4567/ct/train.jsonl", "4e", "ct");
  link("4567/mri/train.jsonl", "5f", "mri");
  EXPECT_NE(complaint([&] { open_dataset(snapshots / "4567"); }).find("several configurations"), std::string::npos);
}

}  // namespace
}  // namespace multimeditron
