#include "data/preprocess.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <utility>

#include "base/file.h"
#include "data_sets/row_json.h"
#include "image/image.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

using multimeditron::testing::complaint;
using multimeditron::testing::describe;
using multimeditron::testing::scratch;

const char* const kToken = "<|reserved_special_token_0|>";

/// A file of JSON lines with images of its own; rows of `bad` name an image that is none.
class Preprocess : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = scratch(std::string("preprocess_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_ / "images");
    std::ofstream(folder_ / "images/bad.png") << "no image";
  }

  fs::path write_rows(int64_t count, std::initializer_list<int64_t> bad = {}) {
    std::ofstream lines(folder_ / "train.jsonl");
    for (int64_t i = 0; i < count; ++i) {
      const bool is_bad = std::find(bad.begin(), bad.end(), i) != bad.end();
      const std::string name = is_bad ? "bad.png" : fmt::format("{}.png", i);
      const auto shade = static_cast<uint8_t>(i);
      if (!is_bad) std::ofstream(folder_ / "images" / name) << encode_png(RgbImage{2, 1, {shade, 1, 2, 3, 4, shade}});
      lines << Json{{"conversations",
                     {{{"role", "user"}, {"content", std::string(kToken) + "What?"}},
                      {{"role", "assistant"}, {"content", fmt::format("{}", i)}}}},
                    {"modalities", {{{"type", "image"}, {"value", name}}}}}
                   .dump()
            << "\n";
    }
    return folder_ / "train.jsonl";
  }

  PreprocessOptions options(const std::string& output = "packed") const {
    PreprocessOptions options;
    options.output = folder_ / output;
    options.image_folder = folder_ / "images";
    options.workers = 3;
    options.shard_bytes = 2000;
    return options;
  }

  /// Every file of a folder with its content.
  static std::map<std::string, std::string> contents(const fs::path& folder) {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) all[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
    }
    return all;
  }

  fs::path folder_;
};

TEST_F(Preprocess, TheImagesAreInsideAndRowsStayInOrder) {
  for (const ShardFormat format : {ShardFormat::kArrow, ShardFormat::kParquet}) {
    const auto source = open_dataset(write_rows(50));
    PreprocessOptions chosen = options(format == ShardFormat::kArrow ? "arrow" : "parquet");
    chosen.format = format;
    const PreprocessResult result = preprocess(*source, chosen);
    EXPECT_EQ(result.rows, 50);
    EXPECT_EQ(result.images, 50);
    EXPECT_EQ(result.bad, 0);
    EXPECT_GT(result.shards, 1);
    const auto packed = open_dataset(chosen.output);
    ASSERT_EQ(packed->size(), 50);
    for (int64_t i = 0; i < 50; ++i) {
      Row expected = source->row(i);
      expected.modalities[0].bytes = read_file(folder_ / "images" / expected.modalities[0].path);
      EXPECT_EQ(describe(packed->row(i)), describe(expected));
    }
    EXPECT_FALSE(fs::exists(partial_folder(chosen.output)));
    EXPECT_FALSE(fs::exists(chosen.output / "quarantine.jsonl"));
    // The same call again looks at the hashes and does nothing.
    EXPECT_TRUE(preprocess(*source, chosen).was_done);
  }
}

TEST_F(Preprocess, WorkersDoNotChangeABit) {
  const auto source = open_dataset(write_rows(70, {5, 66}));
  for (const ShardFormat format : {ShardFormat::kArrow, ShardFormat::kParquet}) {
    PreprocessOptions one = options(fmt::format("one{}", static_cast<int>(format))),
                      many = options(fmt::format("many{}", static_cast<int>(format)));
    one.format = many.format = format;
    one.workers = 1;
    many.workers = 7;
    preprocess(*source, one);
    preprocess(*source, many);
    EXPECT_EQ(contents(one.output), contents(many.output));
  }
}

// Stopped at many places, and killed while it finished: the same call always ends with the same files.
TEST_F(Preprocess, InterruptedWorkGoesOnBehindItsLastWholeShard) {
  const auto source = open_dataset(write_rows(200, {3, 150}));
  PreprocessOptions whole = options("whole"), interrupted = options("interrupted");
  whole.workers = interrupted.workers = 1;
  preprocess(*source, whole);
  int64_t calls = 0, kept = 0;
  while (true) {
    ASSERT_LT(++calls, 50);
    std::atomic<int> looks = 0;
    try {
      const PreprocessResult result = preprocess(*source, interrupted, {}, [&] { return ++looks > 3; });
      kept = std::max(kept, result.kept_shards);
      break;
    } catch (const Interrupted&) {
      // What a kill leaves: a part of a shard behind the last whole one.
      std::ofstream(partial_folder(interrupted.output) / "data-00099.arrow") << "part";
    }
  }
  EXPECT_GT(calls, 1);
  EXPECT_GT(kept, 0);
  fs::remove(interrupted.output / "data-00099.arrow");
  EXPECT_EQ(contents(interrupted.output), contents(whole.output));

  // Killed between the last shard and the last renaming.
  fs::rename(interrupted.output, partial_folder(interrupted.output));
  Json manifest = read_json(partial_folder(interrupted.output) / "preprocess.json");
  fs::remove(partial_folder(interrupted.output) / "state.json");
  preprocess(*source, interrupted);
  EXPECT_EQ(contents(interrupted.output), contents(whole.output));
}

// A folder that only bears the name of the work, and what somebody has put into the work, stay as they are.
TEST_F(Preprocess, FilesOfOthersAreLeftAlone) {
  const auto source = open_dataset(write_rows(20));
  const PreprocessOptions chosen = options();
  const fs::path work = partial_folder(chosen.output), others = work / "thesis.txt";
  fs::create_directories(work);
  std::ofstream(others) << "x";
  const std::string text = complaint([&] { preprocess(*source, chosen); });
  EXPECT_NE(text.find("holds something else"), std::string::npos) << text;
  EXPECT_NE(text.find("thesis.txt, and no preprocess.json"), std::string::npos) << text;
  EXPECT_EQ(contents(work), (std::map<std::string, std::string>{{"thesis.txt", "x"}}));

  fs::remove(others);
  EXPECT_THROW(preprocess(*source, chosen, {}, [] { return true; }), Interrupted);
  std::ofstream(others) << "x";
  preprocess(*source, chosen);
  EXPECT_EQ(read_file(chosen.output / "thesis.txt"), "x");
}

// Before its first shard is whole nothing of the work is kept: other settings may take it over.
TEST_F(Preprocess, WorkWithoutAWholeShardIsBegunAnew) {
  const auto source = open_dataset(write_rows(60, {1}));
  PreprocessOptions arrow = options(), parquet = options(), expected = options("expected");
  arrow.workers = 1;
  arrow.shard_bytes = 1'000'000;
  parquet.format = expected.format = ShardFormat::kParquet;
  std::atomic<int> looks = 0;
  EXPECT_THROW(preprocess(*source, arrow, {}, [&] { return ++looks > 1; }), Interrupted);
  EXPECT_TRUE(fs::exists(partial_folder(arrow.output) / "data-00000.arrow"));
  preprocess(*source, parquet);
  preprocess(*source, expected);
  EXPECT_EQ(contents(parquet.output), contents(expected.output));
}

TEST_F(Preprocess, ALotEndsAtItsBytes) {
  const auto source = open_dataset(write_rows(50, {7}));
  PreprocessOptions small = options("small"), large = options("large");
  small.lot_bytes = 1;
  int64_t last = 0, longest = 0;
  preprocess(*source, small, [&](int64_t done, int64_t) { longest = std::max(longest, done - std::exchange(last, done)); });
  EXPECT_LE(longest, small.workers + 1);  // those under way when the first is ready, and a bad row, which holds nothing
  preprocess(*source, large);
  EXPECT_EQ(contents(small.output), contents(large.output));
}

TEST_F(Preprocess, DamagedOrOtherWorkIsNotContinued) {
  const auto source = open_dataset(write_rows(60));
  PreprocessOptions chosen = options();
  chosen.workers = 1;
  std::atomic<int> looks = 0;
  EXPECT_THROW(preprocess(*source, chosen, {}, [&] { return ++looks > 1; }), Interrupted);
  const fs::path shard = partial_folder(chosen.output) / "data-00000.arrow";
  ASSERT_TRUE(fs::exists(shard));
  const std::string content = read_file(shard);
  std::string damaged = content;
  damaged[damaged.size() / 2] ^= 1;
  std::ofstream(shard, std::ios::binary) << damaged;
  EXPECT_NE(complaint([&] { preprocess(*source, chosen); }).find("data-00000.arrow"), std::string::npos);
  std::ofstream(shard, std::ios::binary) << content;
  PreprocessOptions other = chosen;
  other.shard_bytes = 4000;
  const std::string text = complaint([&] { preprocess(*source, other); });
  EXPECT_NE(text.find("shard_bytes: 2000 then, 4000 now"), std::string::npos) << text;
  EXPECT_EQ(complaint([&] { preprocess(*source, chosen); }), "no complaint");
  std::ofstream(chosen.output / "data-00000-of-00001.arrow") << "x";
  fs::create_directories(folder_ / "full");
  std::ofstream(folder_ / "full/file") << "x";
  PreprocessOptions full = options("full");
  EXPECT_NE(complaint([&] { preprocess(*source, full); }).find("already there"), std::string::npos);
}

TEST_F(Preprocess, BadRowsAreLeftOutListedAndLimited) {
  const auto source = open_dataset(write_rows(30, {2, 20}));
  PreprocessOptions chosen = options();
  const PreprocessResult result = preprocess(*source, chosen);
  EXPECT_EQ(result.rows, 28);
  EXPECT_EQ(result.bad, 2);
  const std::string list = read_file(chosen.output / "quarantine.jsonl");
  EXPECT_NE(list.find("train.jsonl, line 3"), std::string::npos) << list;
  EXPECT_NE(list.find("image 1: unidentified image"), std::string::npos) << list;
  EXPECT_EQ(open_dataset(chosen.output)->row(2).conversations[1].content, "3");

  fs::remove(folder_ / "images" / fs::path(source->row(5).modalities[0].path).filename());
  PreprocessOptions missing = options("missing");
  EXPECT_EQ(preprocess(*source, missing).bad, 3);
  EXPECT_NE(read_file(missing.output / "quarantine.jsonl").find(source->row(5).modalities[0].path), std::string::npos);

  PreprocessOptions failing = options("failing");
  failing.on_bad = PreprocessOptions::OnBad::kFail;
  EXPECT_NE(complaint([&] { preprocess(*source, failing); }).find("train.jsonl, line 3"), std::string::npos);

  const auto worse = open_dataset(write_rows(40, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  PreprocessOptions limited = options("limited"), skipping = options("skipping");
  EXPECT_NE(complaint([&] { preprocess(*worse, limited); }).find("too many unusable samples"), std::string::npos);
  skipping.on_bad = PreprocessOptions::OnBad::kSkip;
  EXPECT_EQ(preprocess(*worse, skipping).bad, 12);
}

TEST_F(Preprocess, TextsAndConversationsMayBeMixedAndTokensMustMatch) {
  std::ofstream(folder_ / "images/a.png") << encode_png(RgbImage{1, 1, {1, 2, 3}});
  std::ofstream(folder_ / "mixed.jsonl")
      << R"({"text": "only text"})"
         "\n"
      << R"({"conversations": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})"
         "\n"
      << R"({"text": "no token", "image": "a.png"})"
         "\n"
      << R"({"conversations": [{"role": "user", "content": "q"}]})"
         "\n";
  const auto source = open_dataset(folder_ / "mixed.jsonl");
  const PreprocessResult strict = preprocess(*source, options("strict"));
  EXPECT_EQ(strict.rows, 2);
  EXPECT_EQ(strict.bad, 2);
  const auto packed = open_dataset(folder_ / "strict");
  EXPECT_EQ(describe(packed->row(0)), describe(source->row(0)));
  EXPECT_EQ(describe(packed->row(1)), describe(source->row(1)));
  PreprocessOptions any = options("any");
  any.any_text = true;
  EXPECT_EQ(preprocess(*source, any).rows, 4);
}

TEST_F(Preprocess, PartsAndOrdersAreThoseOfDatasets) {
  const auto source = open_dataset(write_rows(10));
  const auto answers = [&](const PreprocessOptions& chosen) {
    preprocess(*source, chosen);
    const auto packed = open_dataset(chosen.output);
    std::string all;
    for (int64_t i = 0; i < packed->size(); ++i) all += packed->row(i).conversations[1].content;
    return all;
  };
  PreprocessOptions part = options("part");
  part.num_shards = 3;
  part.shard_id = 1;
  EXPECT_EQ(answers(part), "456");  // Dataset.shard(3, 1): 4, 3 and 3 rows
  PreprocessOptions shuffled = options("shuffled");
  shuffled.shuffle_seed = 42;
  EXPECT_EQ(answers(shuffled), "5607324918");  // Dataset.shuffle(42) of ten rows
  PreprocessOptions head = options("head");
  head.head = 4;
  EXPECT_EQ(answers(head), "0123");
  PreprocessOptions file = options("one.parquet");
  file.format = ShardFormat::kParquet;
  EXPECT_EQ(answers(file), "0123456789");
  EXPECT_TRUE(fs::is_regular_file(file.output));
  EXPECT_TRUE(preprocess(*source, file).was_done);
}

}  // namespace
}  // namespace multimeditron
