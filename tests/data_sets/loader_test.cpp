#include "data/loader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/image_cache.h"
#include "data/length_index.h"
#include "data/packer.h"
#include "data/sampler.h"
#include "data_sets/sample_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

/// Batches of `size` rows in order.
std::function<std::vector<int64_t>(int64_t)> in_order(int64_t size, int64_t num_rows) {
  return [=](int64_t batch) {
    std::vector<int64_t> rows;
    for (int64_t row = batch * size; row < std::min((batch + 1) * size, num_rows); ++row) rows.push_back(row);
    return rows;
  };
}

TEST(Loader, BatchesAreTheSameForAnyNumberOfThreads) {
  const auto dataset = open_dataset(kCase / "data/arrow");
  const SampleBuilder builder = parts().builder(*dataset);
  std::vector<std::string> first;
  for (const auto& [num_threads, prefetch] : {std::pair(0, 1), {1, 1}, {3, 2}, {5, 8}}) {
    Quarantine quarantine({}, 0.01);
    Loader loader(builder, *dataset, {in_order(3, 20), 1, 7}, {num_threads, prefetch}, quarantine);
    std::vector<std::string> seen;
    for (int64_t number = 1; number < 7; ++number) {
      const SampleBatch batch = loader.next();
      EXPECT_EQ(batch.number, number);
      EXPECT_TRUE(batch.bad.empty());
      EXPECT_EQ(batch.rows.size(), batch.samples.size());
      for (size_t i = 0; i < batch.samples.size(); ++i) {
        const Sample& sample = batch.samples[i];
        EXPECT_EQ(sample.index, batch.rows[i]);
        std::string content = sample.text.text;
        for (const ImageInput& input : sample.images) content += sha256(std::as_bytes(std::span(input.pixel_values)));
        seen.push_back(sha256(content));
      }
    }
    EXPECT_GE(loader.waited_s(), 0.0);
    if (first.empty()) first = seen;
    EXPECT_EQ(seen, first) << num_threads << " threads";
  }
}

TEST(Loader, LeavesBadSamplesOutAndWritesThemDown) {
  std::vector<Row> rows(40, conversation("fine"));
  for (const size_t bad : {5u, 6u, 17u}) rows[bad] = bad_row();
  rows[17].conversations[0].content = "Mrs Secret, born 1930";
  const Rows dataset(rows);
  const SampleBuilder builder = parts().builder(dataset);
  const fs::path file = scratch("quarantine") / "quarantine.jsonl";
  Quarantine quarantine(file, 0.01);
  Loader loader(builder, dataset, {in_order(4, 40), 0, 10}, {3, 4}, quarantine);
  int64_t bad = 0, good = 0;
  for (int i = 0; i < 10; ++i) {
    const SampleBatch batch = loader.next();
    bad += static_cast<int64_t>(batch.bad.size());
    good += static_cast<int64_t>(batch.samples.size());
    EXPECT_EQ(batch.rows.size(), 4u);
  }
  EXPECT_EQ(bad, 3);
  EXPECT_EQ(good, 37);
  EXPECT_EQ(quarantine.count(), 3);
  const std::string written = read_file(file);
  EXPECT_EQ(written.find("Secret"), std::string::npos);
  const Json line = Json::parse(written.substr(0, written.find('\n')));
  EXPECT_EQ(line, (Json{{"row", 5},
                        {"place", "rows, row 5"},
                        {"error", "images and attachment tokens do not match: 1 in `modalities`, 0 in the text"}}));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 3);
}

TEST(Quarantine, CountsARowOnceHoweverOftenItIsMet) {
  const fs::path file = scratch("quarantine-again") / "quarantine.jsonl";
  Quarantine first(file, 0.01);
  for (int epoch = 0; epoch < 30; ++epoch) {
    first.seen(20);
    first.add(3, "file, row 3", "reason");
  }
  EXPECT_EQ(first.count(), 1);
  EXPECT_EQ(first.last_error(), "file, row 3: reason");
  const Quarantine::Position position = first.position();
  Quarantine resumed(file, 0.01);
  resumed.restore(position);
  resumed.add(3, "file, row 3", "reason");
  resumed.add(4, "file, row 4", "reason");
  EXPECT_EQ(resumed.count(), 2);
  const std::string written = read_file(file);
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 2);
}

TEST(Quarantine, EndsTheRunPastTenAndPastTheShare) {
  Quarantine few({}, 0.01);
  few.seen(20);
  for (int i = 0; i < 10; ++i) few.add(i, "file, row", "reason");
  const std::string text = complaint([&] { few.add(10, "file, row 10", "reason"); });
  EXPECT_NE(text.find("11 of 20"), std::string::npos) << text;
  EXPECT_NE(text.find("max_bad_samples"), std::string::npos) << text;

  Quarantine many({}, 0.01);
  many.seen(2000);
  for (int i = 0; i < 20; ++i) EXPECT_NO_THROW(many.add(i, "file, row", "reason"));
  EXPECT_THROW(many.add(20, "file, row", "reason"), UserError);
}

TEST(Loader, TooManyBadSamplesEndTheRunAtTheSameBatchForAnyNumberOfThreads) {
  const Rows dataset(std::vector<Row>(60, bad_row()));
  const SampleBuilder builder = parts().builder(dataset);
  for (const int num_threads : {0, 1, 4}) {
    Quarantine quarantine({}, 0.5);
    Loader loader(builder, dataset, {in_order(4, 60), 0, 15}, {num_threads, 3}, quarantine);
    EXPECT_NO_THROW(loader.next());
    EXPECT_NO_THROW(loader.next());
    EXPECT_THROW(loader.next(), UserError);
  }
}

/// Throws what is not a user's mistake at one row.
class Faulty : public Rows {
 public:
  using Rows::Rows;
  Row row(int64_t index) const override {
    if (index == 9) throw std::runtime_error("a fault");
    return Rows::row(index);
  }
};

TEST(Loader, FaultsArriveInOrder) {
  const Faulty dataset(std::vector<Row>(20, conversation("fine")));
  const SampleBuilder builder = parts().builder(dataset);
  Quarantine quarantine({}, 0.01);
  Loader loader(builder, dataset, {in_order(4, 20), 0, 5}, {4, 5}, quarantine);
  EXPECT_EQ(loader.next().samples.size(), 4u);
  EXPECT_EQ(loader.next().samples.size(), 4u);
  EXPECT_THROW(loader.next(), std::runtime_error);
}

TEST(Loader, AsksForRowsInOrderFromTheCallersThread) {
  const Rows dataset(std::vector<Row>(40, conversation("fine")));
  const SampleBuilder builder = parts().builder(dataset);
  Quarantine quarantine({}, 0.01);
  const auto caller = std::this_thread::get_id();
  int64_t asked = 0;
  const auto rows_of = [&](int64_t batch) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(batch, asked++);
    return std::vector<int64_t>{batch};
  };
  {
    Loader loader(builder, dataset, {rows_of, 0, 40}, {3, 4}, quarantine);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(loader.next().rows[0], i);
  }
  // Not far ahead, and the rest is dropped with the loader.
  EXPECT_LE(asked, 20 + 4);
}

/// The rows of the worked example, two of them spoilt.
class SomeBad : public Rows {
 public:
  SomeBad() : Rows(spoilt()) {}

 private:
  static std::vector<Row> spoilt() {
    const auto dataset = open_dataset(kCase / "data/arrow");
    std::vector<Row> rows;
    for (int64_t i = 0; i < dataset->size(); ++i) rows.push_back(dataset->row(i));
    rows[3] = bad_row();
    for (Row& row : rows) {
      if (row.modalities.empty()) continue;
      row.modalities[0].bytes.resize(row.modalities[0].bytes.size() / 2);
      break;
    }
    return rows;
  }
};

/// Two epochs of micro-batches in steps of at most kPerStep, as `training` plans them.
class Order {
 public:
  static constexpr int64_t kPerStep = 4;

  Order(const SampleBuilder& builder, bool packs) {
    if (packs) {
      const auto sampler = std::make_shared<PackedSampler>(sample_lengths(builder, 1), 160, 0, 42, 1);
      rows_ = [sampler](int64_t epoch, int64_t index) { return sampler->batch(epoch, index); };
      for (const int64_t epoch : {0, 1}) batches_.push_back(sampler->batches_per_epoch(epoch));
    } else {
      const auto sampler = std::make_shared<Sampler>(builder.size(), 0, 42, 2);
      rows_ = [sampler](int64_t epoch, int64_t index) { return sampler->batch(epoch, index); };
      batches_.assign(2, sampler->batches_per_epoch());
    }
    for (int64_t number = 0; number < end(); ++number) {
      if (index_in_step(number) == 0) step_starts.push_back(number);
    }
  }

  int64_t end() const { return batches_[0] + batches_[1]; }
  int64_t index_in_step(int64_t number) const { return locate(number).second % kPerStep; }
  BatchPlan plan(int64_t first, RankView rank) const {
    return {.rows_of =
                [this](int64_t number) {
                  const auto [epoch, index] = locate(number);
                  return rows_(epoch, index);
                },
            .first = first,
            .end = end(),
            .is_mine = [this, rank](int64_t number) { return rank.owns(index_in_step(number)); }};
  }

  std::vector<int64_t> step_starts;

 private:
  std::pair<int64_t, int64_t> locate(int64_t number) const {
    return number < batches_[0] ? std::pair{int64_t{0}, number} : std::pair{int64_t{1}, number - batches_[0]};
  }
  std::function<std::vector<int64_t>(int64_t, int64_t)> rows_;
  std::vector<int64_t> batches_;
};

/// A hash of all that a model would see of a batch.
std::string digest(const SampleBatch& batch) {
  const auto bytes = [](const auto& values) { return sha256(std::as_bytes(std::span(values))); };
  std::string all = fmt::format("{} {}", batch.number, bytes(batch.rows));
  for (const Sample& sample : batch.samples) {
    all += fmt::format(" sample {} {} {}", sample.index, bytes(sample.text.input_ids), bytes(sample.text.labels));
    for (const ImageInput& input : sample.images) all += fmt::format(" {} {}", input.content_hash, bytes(input.pixel_values));
  }
  return sha256(all);
}

/// What all ranks together deliver from micro-batch `first` on, by number; recorded in `quarantine` in that order.
std::map<int64_t, std::string> deliver(const SampleBuilder& builder, const Dataset& dataset, const Order& order, int64_t first,
                                       int64_t world_size, const LoaderOptions& options, Quarantine& quarantine) {
  std::map<int64_t, SampleBatch> batches;
  for (int64_t rank = 0; rank < world_size; ++rank) {
    const RankView view{rank, world_size};
    Quarantine own({}, 1);
    Loader loader(builder, dataset, order.plan(first, view), options, own);
    for (int64_t number = first; number < order.end(); ++number) {
      if (!view.owns(order.index_in_step(number))) continue;
      SampleBatch batch = loader.next();
      EXPECT_EQ(batch.number, number);
      EXPECT_TRUE(batches.emplace(number, std::move(batch)).second);
    }
  }
  std::map<int64_t, std::string> digests;
  for (auto& [number, batch] : batches) {
    digests[number] = digest(batch);
    quarantine.record(batch);
  }
  return digests;
}

class Delivery : public ::testing::TestWithParam<bool> {
 protected:
  SomeBad dataset_;
  SampleBuilder builder_ = parts().builder(dataset_);
  Order order_{builder_, GetParam()};
  fs::path folder_ = scratch([] {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '_');
    return name;
  }());
};

TEST_P(Delivery, IsTheSameForAnyNumberOfRanksAndThreads) {
  Quarantine expected_bad(folder_ / "expected.jsonl", 0.01);
  const auto expected = deliver(builder_, dataset_, order_, 0, 1, {0}, expected_bad);
  EXPECT_EQ(static_cast<int64_t>(expected.size()), order_.end());
  EXPECT_EQ(expected_bad.count(), 2);
  SampleBuilder remembering = parts().builder(dataset_);
  remembering.set_image_cache(1 << 20);
  for (const int64_t world_size : {1, 2, 4}) {
    for (const int num_threads : {1, 3, 8}) {
      SCOPED_TRACE(fmt::format("{} ranks, {} threads", world_size, num_threads));
      const fs::path file = folder_ / fmt::format("{}-{}.jsonl", world_size, num_threads);
      Quarantine bad(file, 0.01);
      EXPECT_EQ(deliver(num_threads == 3 ? remembering : builder_, dataset_, order_, 0, world_size, {num_threads, 5}, bad), expected);
      EXPECT_EQ(read_file(file), read_file(folder_ / "expected.jsonl"));
    }
  }
  EXPECT_GT(remembering.image_cache_use().found, 0);
}

TEST_P(Delivery, GoesOnAtAnyStepAsIfItHadNotStopped) {
  Quarantine expected_bad(folder_ / "whole.jsonl", 0.01);
  const auto expected = deliver(builder_, dataset_, order_, 0, 1, {2}, expected_bad);
  ASSERT_GE(order_.step_starts.size(), 4u);
  for (const int64_t start : order_.step_starts) {
    SCOPED_TRACE(start);
    const fs::path file = folder_ / fmt::format("from-{}.jsonl", start);
    Quarantine before(file, 0.01);
    Loader loader(builder_, dataset_, order_.plan(0, {}), {2, 3}, before);
    for (int64_t number = 0; number < start; ++number) loader.next();
    const Quarantine::Position saved = before.position();
    if (start < order_.end()) loader.next();  // lost with the kill

    Quarantine bad(file, 0.01);
    bad.restore(saved);
    std::map<int64_t, std::string> rest = expected;
    rest.erase(rest.begin(), rest.lower_bound(start));
    EXPECT_EQ(deliver(builder_, dataset_, order_, start, 2, {3, 4}, bad), rest);
    EXPECT_EQ(read_file(file), read_file(folder_ / "whole.jsonl"));
  }
}

INSTANTIATE_TEST_SUITE_P(Loader, Delivery, ::testing::Bool(), [](const auto& info) { return info.param ? "Packs" : "Samples"; });

/// Samples of a megabyte; counts how many have been built.
class Large : public SampleSource {
 public:
  Sample build(int64_t index) const override {
    Sample sample{.index = index, .text = {}, .images = {}};
    sample.images.push_back({.pixel_values = std::vector<float>(1 << 18)});
    ++built;
    return sample;
  }
  mutable std::atomic<int> built = 0;
};

TEST(Loader, HoldsNoMoreSamplesThanItsMemoryTakes) {
  const Rows dataset(std::vector<Row>(64));
  const Large source;
  Quarantine quarantine({}, 0.01);
  Loader loader(source, dataset, {in_order(1, 64), 0, 64}, {.num_threads = 4, .prefetch = 64, .memory_bytes = (8 << 20) + 4096},
                quarantine);
  while (source.built < 8) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(source.built, 8);
  for (int i = 0; i < 64; ++i) EXPECT_EQ(loader.next().samples.size(), 1u);
  EXPECT_LE(loader.peak_bytes(), 9 << 20);
}

TEST(Loader, BuildsTheBatchThatIsDueWhateverItTakes) {
  const Rows dataset(std::vector<Row>(64));
  const Large source;
  Quarantine quarantine({}, 0.01);
  Loader loader(source, dataset, {in_order(16, 64), 0, 4}, {.num_threads = 3, .prefetch = 4, .memory_bytes = 1}, quarantine);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(loader.next().samples.size(), 16u);
}

/// Remembers which rows were announced.
class Announced : public Rows {
 public:
  using Rows::Rows;
  void will_need(std::span<const int64_t> rows) const override {
    const std::lock_guard lock(mutex);
    announced.insert(announced.end(), rows.begin(), rows.end());
  }
  mutable std::mutex mutex;
  mutable std::vector<int64_t> announced;
};

TEST(Loader, TellsTheDataSetOnceWhichRowsItWillRead) {
  const Announced dataset(std::vector<Row>(40, conversation("fine")));
  const SampleBuilder builder = parts().builder(dataset);
  for (const int num_threads : {0, 3}) {
    dataset.announced.clear();
    Quarantine quarantine({}, 0.01);
    Loader loader(builder, dataset, {in_order(4, 40), 0, 10}, {num_threads, 3}, quarantine);
    for (int i = 0; i < 10; ++i) loader.next();
    std::vector<int64_t> all(40);
    std::iota(all.begin(), all.end(), 0);
    std::sort(dataset.announced.begin(), dataset.announced.end());
    EXPECT_EQ(dataset.announced, all);
  }
}

TEST(ImageCache, KeepsWhatWasUsedLastWithinItsSize) {
  const auto input = [](uint64_t hash) { return ImageInput{1, 1, hash, std::vector<float>(256, static_cast<float>(hash))}; };
  ImageCache cache(6 * 1200);
  for (uint64_t hash = 0; hash < 6; ++hash) cache.add(hash, input(hash));
  EXPECT_TRUE(cache.find(0));
  cache.add(6, input(6));
  EXPECT_FALSE(cache.find(1));
  ASSERT_TRUE(cache.find(0));
  EXPECT_EQ(cache.find(0)->pixel_values, input(0).pixel_values);
  cache.add(9, {1, 1, 9, std::vector<float>(5000)});
  EXPECT_FALSE(cache.find(9)) << "would push all others out";
  EXPECT_EQ(cache.use().asked, 5);
  EXPECT_EQ(cache.use().found, 3);
}

}  // namespace
}  // namespace multimeditron::testing
