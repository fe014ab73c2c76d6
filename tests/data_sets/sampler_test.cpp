#include "data/sampler.h"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <algorithm>
#include <span>

#include "base/hash.h"
#include "base/json.h"
#include "data/packer.h"

namespace multimeditron {
namespace {

const std::filesystem::path kData = TEST_DATA;

void expect_order(const std::vector<int64_t>& order, const Json& golden) {
  const size_t shown = golden["first"].size();
  for (size_t i = 0; i < shown; ++i) {
    EXPECT_EQ(order[i], golden["first"][i].get<int64_t>());
    EXPECT_EQ(order[order.size() - shown + i], golden["last"][i].get<int64_t>());
  }
  EXPECT_EQ(sha256(std::as_bytes(std::span(order))), golden["sha256"].get<std::string>());
}

TEST(Sampler, OrdersEqualThoseOfNumpyAndTorch) {
  for (const Json& golden : read_json(kData / "datasets/orders.json")) {
    const auto n = golden["n"].get<int64_t>();
    const auto seed = golden["seed"].get<uint64_t>();
    SCOPED_TRACE(fmt::format("n {} seed {}", n, seed));
    expect_order(numpy_permutation(seed, n), golden["numpy"]);
    expect_order(torch_randperm(seed, n), golden["torch"]);
  }
}

TEST(Sampler, OrderAndBatchesAreThoseOfTheWorkedExample) {
  const Json expected = read_json(kData / "case_qwen3_clip/cases/qwen3_clip/expected.json");
  for (const auto& [mode, trajectory] : expected["trajectory"].items()) {
    SCOPED_TRACE(mode);
    EXPECT_EQ(numpy_permutation(0, 20), trajectory["shuffle_order"].get<std::vector<int64_t>>());
    Sampler sampler(20, 0, 42, 2);
    const int64_t per_epoch = sampler.batches_per_epoch();
    ASSERT_EQ(per_epoch, 10);
    for (size_t i = 0; i < trajectory["batches"].size(); ++i) {
      const auto number = static_cast<int64_t>(i);
      EXPECT_EQ(sampler.batch(number / per_epoch, number % per_epoch), trajectory["batches"][i].get<std::vector<int64_t>>());
    }
  }
}

TEST(Sampler, PositionsOfAnEpochMayBeOtherRows) {
  // Row 0 counts three times, of rows 1 and 2 one an epoch.
  const auto row_of = [](int64_t epoch, int64_t position) { return position < 3 ? 0 : 1 + epoch % 2; };
  Sampler sampler(4, 3, 7, 2, row_of), plain(4, 3, 7, 2);
  PackedSampler packed({10, 20, 30}, 64, Sampler(4, 3, 7, 2, row_of), 7, 1);
  for (const int64_t epoch : {0, 1}) {
    std::vector<int64_t> expected = plain.epoch_rows(epoch);
    for (int64_t& row : expected) row = row_of(epoch, row);
    EXPECT_EQ(sampler.epoch_rows(epoch), expected);
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < packed.batches_per_epoch(epoch); ++i) {
      const auto batch = packed.batch(epoch, i);
      rows.insert(rows.end(), batch.begin(), batch.end());
    }
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, (std::vector<int64_t>{0, 0, 0, 1 + epoch % 2}));
    EXPECT_DOUBLE_EQ(packed.efficiency(epoch), (30 + (epoch == 0 ? 20 : 30)) / 64.0);
  }
}

TEST(Sampler, LastBatchIsShorterAndEpochsHoldEachRowOnce) {
  Sampler sampler(11, 3, 7, 4);
  EXPECT_EQ(sampler.batches_per_epoch(), 3);
  std::vector<int64_t> first;
  for (const int64_t epoch : {0, 1, 0}) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < 3; ++i) {
      const std::vector<int64_t> batch = sampler.batch(epoch, i);
      EXPECT_EQ(batch.size(), i < 2 ? 4u : 3u);
      rows.insert(rows.end(), batch.begin(), batch.end());
    }
    if (first.empty()) first = rows;
    EXPECT_EQ(rows == first, epoch == 0);
    std::sort(rows.begin(), rows.end());
    for (int64_t i = 0; i < 11; ++i) EXPECT_EQ(rows[static_cast<size_t>(i)], i);
  }
}

}  // namespace
}  // namespace multimeditron
