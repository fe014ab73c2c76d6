#include "data/length_index.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "data_sets/sample_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

/// Rows whose images are never to be looked at; counts how often a row is read.
class Counted : public Rows {
 public:
  explicit Counted(std::vector<Row> rows) : Rows(std::move(rows)) {}
  Row row(int64_t) const override { throw std::runtime_error("a length needs no image"); }
  Row text_row(int64_t index) const override {
    ++reads;
    return Rows::row(index);
  }
  std::string fingerprint() const override { return "rows"; }
  mutable std::atomic<int64_t> reads = 0;
};

std::vector<Row> some_rows(int64_t count) {
  std::vector<Row> rows;
  for (int64_t i = 0; i < count; ++i) rows.push_back(conversation(std::string(static_cast<size_t>(i % 97), 'a')));
  return rows;
}

fs::path only_index(const fs::path& folder) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".lengths") continue;
    EXPECT_TRUE(found.empty());
    found = entry.path();
  }
  return found;
}

TEST(LengthIndex, LengthsAreThoseOfTheSamplesWithoutALookAtTheirImages) {
  for (const char* format : {"arrow", "parquet", "jsonl"}) {
    SCOPED_TRACE(format);
    const auto dataset = open_dataset(kCase / "data" / format);
    const SampleBuilder builder = parts().builder(*dataset, format == std::string("jsonl") ? "fs-image" : "raw-image");
    const std::vector<int64_t> lengths = sample_lengths(builder, 1);
    EXPECT_EQ(sample_lengths(builder, 3), lengths);
    for (int64_t i = 0; i < dataset->size(); ++i) {
      EXPECT_EQ(lengths[static_cast<size_t>(i)], static_cast<int64_t>(builder.build(i).text.input_ids.size()));
    }
  }
  std::vector<Row> rows = some_rows(3);
  rows[1] = bad_row();
  const Counted counted(rows);
  const std::vector<int64_t> lengths = sample_lengths(parts().builder(counted), 1);
  EXPECT_GT(lengths[0], 0);
  EXPECT_EQ(lengths[1], 0);
}

TEST(LengthIndex, TruncatedSamplesHaveTheirShorterLength) {
  Parts shorter;
  shorter.prompt.max_sequence_length = 30;
  const Rows rows({{.text = {},
                    .conversations = {{"user", "one?"}, {"assistant", "One."}, {"user", "two?"}, {"assistant", std::string(90, 'x')}},
                    .modalities = {}},
                   {.text = std::string(200, 'y'), .conversations = {}, .modalities = {}},
                   conversation(std::string(200, 'z'))});
  const SampleBuilder builder = shorter.builder(rows);
  EXPECT_EQ(builder.length(0), static_cast<int64_t>(builder.build(0).text.input_ids.size()));
  EXPECT_EQ(builder.length(1), 30);
  EXPECT_EQ(builder.length(2), 0);
}

TEST(LengthIndex, IsCountedOnceAndThenKept) {
  const fs::path folder = scratch("lengths_kept") / "made";
  const Counted rows(some_rows(1000));
  const SampleBuilder builder = parts().builder(rows);
  int64_t last = 0;
  const LengthIndex first = length_index(builder, {.folder = folder, .progress = [&](int64_t done, int64_t total) {
                                                     EXPECT_GT(done, last);
                                                     EXPECT_EQ(total, 1000);
                                                     last = done;
                                                   }});
  EXPECT_FALSE(first.was_kept);
  EXPECT_EQ(last, 1000);
  EXPECT_EQ(rows.reads, 1000);
  EXPECT_EQ(first.file, only_index(folder));
  const LengthIndex again = length_index(builder, {.folder = folder});
  EXPECT_TRUE(again.was_kept);
  EXPECT_EQ(again.lengths, first.lengths);
  EXPECT_EQ(rows.reads, 1064) << "a few rows are counted again to see that the index is true";
}

TEST(LengthIndex, ADamagedOrStaleFileIsMadeAnewWithANote) {
  const fs::path folder = scratch("lengths_damaged");
  const Counted rows(some_rows(300));
  const SampleBuilder builder = parts().builder(rows);
  const std::vector<int64_t> expected = length_index(builder, {.folder = folder}).lengths;
  const fs::path file = only_index(folder);
  const std::string whole = read_file(file);
  std::string flipped = whole;
  flipped[flipped.size() / 2] ^= 1;
  int round = 0;
  for (const std::string& content : {flipped, whole.substr(0, whole.size() - 4), whole + "x", std::string(), std::string("text\n")}) {
    SCOPED_TRACE(round);
    // A note is shown once: each round gets a folder of its own.
    const fs::path other = scratch(fmt::format("lengths_damaged_{}", round++));
    std::ofstream(other / file.filename()) << content;
    ::testing::internal::CaptureStderr();
    const LengthIndex index = length_index(builder, {.folder = other});
    const std::string said = ::testing::internal::GetCapturedStderr();
    EXPECT_FALSE(index.was_kept);
    EXPECT_EQ(index.lengths, expected);
    EXPECT_NE(said.find("damaged"), std::string::npos) << said;
    EXPECT_NE(said.find((other / file.filename()).string()), std::string::npos) << said;
    EXPECT_EQ(read_file(other / file.filename()), whole);
  }

  // These say that they are the same data set.
  std::vector<Row> longer = some_rows(300);
  for (Row& row : longer) row.conversations[0].content += " more";
  const Counted edited(longer), grown(some_rows(301));
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(length_index(parts().builder(edited), {.folder = folder}).lengths, sample_lengths(parts().builder(edited), 1));
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("no longer what the data set says"), std::string::npos);
  EXPECT_EQ(length_index(parts().builder(grown), {.folder = folder}).lengths.size(), 301u);
}

TEST(LengthIndex, AFolderThatCannotBeWrittenCostsANote) {
  const fs::path folder = scratch("lengths_unwritable");
  std::ofstream(folder / "file") << "x";
  const Counted rows(some_rows(10));
  const SampleBuilder builder = parts().builder(rows);
  ::testing::internal::CaptureStderr();
  const LengthIndex index = length_index(builder, {.folder = folder / "file/cache"});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(index.lengths, sample_lengths(builder, 1));
  EXPECT_TRUE(index.file.empty());
  EXPECT_NE(said.find("cannot be kept"), std::string::npos) << said;
  EXPECT_NE(said.find("MULTIMEDITRON_CACHE"), std::string::npos) << said;
}

TEST(LengthIndex, FingerprintChangesWithWhateverALengthDependsOn) {
  const Counted rows(some_rows(2));
  const Rows others(some_rows(2));
  const std::string base = parts().builder(rows).length_fingerprint();
  EXPECT_EQ(parts().builder(rows).length_fingerprint(), base);
  EXPECT_NE(parts().builder(others).length_fingerprint(), base);
  const auto with = [&](auto change) {
    Parts changed;
    change(changed);
    return changed.builder(rows).length_fingerprint();
  };
  EXPECT_NE(with([](Parts& p) { p.prompt.embeddings_per_image = 10; }), base);
  EXPECT_NE(with([](Parts& p) { p.prompt.max_sequence_length = 100; }), base);
  EXPECT_NE(with([](Parts& p) { p.prompt.label_mask = LabelMask::kAssistant; }), base);
  EXPECT_NE(with([](Parts& p) { p.tokenizer.add_special_token("<another>"); }), base);
  EXPECT_NE(with([](Parts& p) { p.prompt.chat_format.mismatch = UserError("other turns"); }), base);
  EXPECT_NE(with([](Parts& p) { p.prompt.chat_format.end_tags = {"<another>"}; }), base);
  EXPECT_EQ(with([](Parts& p) { p.prompt.today = "2026-01-01"; }), base) << "this template does not ask for the date";
}

TEST(LengthIndex, OfManyAskersOneCounts) {
  const fs::path folder = scratch("lengths_askers");
  const Counted rows(some_rows(2000));
  const SampleBuilder builder = parts().builder(rows);
  std::atomic<int> counted = 0;
  {
    std::vector<std::jthread> askers;
    for (int i = 0; i < 4; ++i) {
      askers.emplace_back([&] {
        const LengthIndex index = length_index(builder, {.folder = folder});
        EXPECT_EQ(index.lengths.size(), 2000u);
        counted += !index.was_kept;
      });
    }
  }
  EXPECT_EQ(counted, 1);
  EXPECT_EQ(rows.reads, 2000 + 3 * 64);
}

TEST(LengthIndex, AnAskerTakesOverFromACounterThatDies) {
  const fs::path folder = scratch("lengths_dies");
  const Counted rows(some_rows(10));
  const SampleBuilder builder = parts().builder(rows);
  const std::string lock = (folder / (builder.length_fingerprint() + ".lock")).string();
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open(lock.c_str(), O_RDWR | O_CREAT, 0666);
    const char locked = ::flock(fd, LOCK_EX) == 0 ? 'y' : 'n';
    if (::write(pipe[1], &locked, 1) == 1) ::pause();
    ::_exit(1);
  }
  char locked = 'n';
  ASSERT_EQ(::read(pipe[0], &locked, 1), 1);
  ASSERT_EQ(locked, 'y');
  std::atomic<bool> done = false;
  std::jthread asker([&] {
    EXPECT_FALSE(length_index(builder, {.folder = folder}).was_kept);
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_FALSE(done) << "while the other lives, it is waited for";
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  asker.join();
  EXPECT_TRUE(done);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST(LengthIndex, ProgressMayEndTheWorkAndTheNextAskerBeginsAnew) {
  const fs::path folder = scratch("lengths_ended");
  const Counted rows(some_rows(2000));
  const SampleBuilder builder = parts().builder(rows);
  EXPECT_THROW(length_index(builder, {.folder = folder, .num_threads = 2, .progress = [](int64_t, int64_t) { throw Interrupted(); }}),
               Interrupted);
  EXPECT_EQ(only_index(folder), fs::path());
  EXPECT_FALSE(length_index(builder, {.folder = folder}).was_kept);
}

}  // namespace
}  // namespace multimeditron::testing
