#include "data/packer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "data/sampler.h"

namespace multimeditron {
namespace {

std::vector<int64_t> random_lengths(int64_t n, int64_t longest, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(1 + static_cast<int64_t>(random()) % longest);
  return lengths;
}

/// First-fit-decreasing as the textbook has it, in quadratic time.
std::vector<Pack> pack_slowly(std::vector<int64_t> order, const std::vector<int64_t>& lengths, int64_t max_length) {
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return lengths[a] > lengths[b]; });
  std::vector<Pack> packs;
  std::vector<int64_t> room;
  for (const int64_t row : order) {
    size_t pack = 0;
    while (pack < packs.size() && room[pack] < lengths[row]) ++pack;
    if (pack == packs.size()) {
      packs.emplace_back();
      room.push_back(max_length);
    }
    packs[pack].push_back(row);
    room[pack] -= lengths[row];
  }
  return packs;
}

TEST(Packer, EqualsFirstFitDecreasingInEachWindow) {
  for (const int64_t n : {1, 7, 100, 333}) {
    const std::vector<int64_t> lengths = random_lengths(n, 97, static_cast<uint32_t>(n));
    const std::vector<int64_t> order = torch_randperm(5, n);
    std::vector<Pack> expected;
    for (int64_t begin = 0; begin < n; begin += 64) {
      const std::vector<int64_t> window(order.begin() + begin, order.begin() + std::min(begin + 64, n));
      for (Pack& pack : pack_slowly(window, lengths, 128)) expected.push_back(std::move(pack));
    }
    std::vector<Pack> shuffled;
    for (const int64_t i : torch_randperm(9, static_cast<int64_t>(expected.size()))) shuffled.push_back(expected[static_cast<size_t>(i)]);
    EXPECT_EQ(pack_samples(order, lengths, 128, 9, 64), shuffled);
  }
}

TEST(Packer, EveryRowIsInOnePackAndNoPackIsTooLong) {
  const int64_t n = 40'000, max_length = 4096;
  std::vector<int64_t> lengths = random_lengths(n, 3000, 1);
  lengths[17] = 0;     // unusable
  lengths[18] = 5000;  // too long for any pack
  lengths[19] = 4096;  // just fits
  const std::vector<Pack> packs = pack_samples(torch_randperm(0, n), lengths, max_length, 42);
  std::vector<int> times(static_cast<size_t>(n), 0);
  int64_t used = 0;
  for (const Pack& pack : packs) {
    int64_t length = 0;
    for (const int64_t row : pack) {
      ++times[static_cast<size_t>(row)];
      if (row != 18) length += lengths[static_cast<size_t>(row)];
    }
    EXPECT_LE(length, max_length);
    used += length;
  }
  EXPECT_TRUE(std::all_of(times.begin(), times.end(), [](int count) { return count == 1; }));
  EXPECT_GT(static_cast<double>(used) / static_cast<double>(max_length * static_cast<int64_t>(packs.size())), 0.97);
}

/// Lengths as conversations have them: log-normal, median 300, sigma 0.8, cut at 4096.
std::vector<int64_t> natural_lengths(int64_t n) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> length(std::log(300.0), 0.8);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(std::clamp<int64_t>(std::llround(length(random)), 1, 4096));
  return lengths;
}

TEST(Packer, FillsNinetyNinePercentOfTheSlots) {
  for (const int64_t n : {5'000, 20'000, 60'000}) {
    PackedSampler sampler(natural_lengths(n), 4096, 0, 42, 1);
    EXPECT_GE(sampler.efficiency(0), 0.99) << n;
  }
}

TEST(Packer, DealsRowsThatCannotBeUsedEvenlyOverThePacks) {
  const int64_t n = 2000, max_length = 256;
  std::vector<int64_t> lengths = random_lengths(n, 100, 7);
  for (int64_t row = 0; row < n; row += 10) lengths[static_cast<size_t>(row)] = row % 20 == 0 ? 0 : max_length + 1;
  const std::vector<Pack> packs = pack_samples(torch_randperm(0, n), lengths, max_length, 1);
  const auto is_bad = [&](int64_t row) { return row % 10 == 0; };
  int64_t most = 0, all = 0;
  for (const Pack& pack : packs) {
    const int64_t bad = std::count_if(pack.begin(), pack.end(), is_bad);
    EXPECT_LT(bad, static_cast<int64_t>(pack.size()));
    most = std::max(most, bad);
    all += bad;
  }
  EXPECT_EQ(all, 200);
  EXPECT_EQ(most, 1);  // 200 rows over about 350 packs
}

TEST(Packer, RowsThatCannotBeUsedGetAPackEachWhereThereIsNoOther) {
  const std::vector<int64_t> order{2, 0, 1}, lengths{0, -1, 9};
  std::vector<Pack> packs = pack_samples(order, lengths, 8, 1);
  std::sort(packs.begin(), packs.end());
  EXPECT_EQ(packs, (std::vector<Pack>{{0}, {1}, {2}}));
}

TEST(PackedSampler, EpochsAreFunctionsOfTheSeedsAndHoldEachRowOnce) {
  const std::vector<int64_t> lengths = random_lengths(500, 100, 3);
  PackedSampler sampler(lengths, 256, 0, 42, 2), again(lengths, 256, 0, 42, 2);
  std::vector<std::vector<int64_t>> epochs;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> rows;
    EXPECT_EQ(sampler.batches_per_epoch(epoch), (sampler.packs_per_epoch(epoch) + 1) / 2);
    for (int64_t i = 0; i < sampler.batches_per_epoch(epoch); ++i) {
      const std::vector<int64_t> batch = sampler.batch(epoch, i);
      int64_t tokens = 0;
      for (const int64_t row : batch) tokens += lengths[static_cast<size_t>(row)];
      EXPECT_LE(tokens, 2 * 256);
      rows.insert(rows.end(), batch.begin(), batch.end());
    }
    EXPECT_EQ(again.batch(epoch, 3), sampler.batch(epoch, 3));
    EXPECT_GT(sampler.efficiency(epoch), 0.9);
    epochs.push_back(rows);
    std::sort(rows.begin(), rows.end());
    ASSERT_EQ(rows.size(), 500u);
    EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
  }
  EXPECT_NE(epochs[0], epochs[1]);
}

}  // namespace
}  // namespace multimeditron
