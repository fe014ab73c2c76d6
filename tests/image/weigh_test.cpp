#include "image/weigh.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace multimeditron {
namespace {

// Whatever the processor offers gives what the sum written out gives, to the bit.
TEST(Weigh, EveryVariantIsTheSumOfProducts) {
  std::mt19937 random(3);
  for (const size_t num_groups : {1, 2, 7, 60}) {
    const int64_t stride = kBlocks * kLanes * kTaps + 5;
    std::vector<uint8_t> in(num_groups * static_cast<size_t>(stride));
    for (uint8_t& byte : in) byte = static_cast<uint8_t>(random() % 4 == 0 ? 255 : random());
    std::vector<WeightGroup> groups;
    // The largest weights that bicubic and Lanczos filters reach in sum, of both signs.
    const auto limit = static_cast<int32_t>((1u << kWeightBits) * 1.2 / static_cast<double>(num_groups));
    std::uniform_int_distribution<int32_t> weight(-limit / 8, limit / 3);
    for (size_t g = 0; g < num_groups; ++g)
      groups.emplace_back(std::array<int32_t, kTaps>{weight(random), weight(random), g == 0 ? -1 : weight(random), weight(random)});
    std::vector<uint8_t> expected(kBlocks * kLanes);
    for (size_t i = 0; i < expected.size(); ++i) {
      int64_t sum = 1 << (kWeightBits - 1);
      for (size_t g = 0; g < num_groups; ++g) {
        for (size_t t = 0; t < kTaps; ++t) sum += int64_t{in[g * static_cast<size_t>(stride) + i * kTaps + t]} * groups[g].weights[t];
      }
      expected[i] = static_cast<uint8_t>(std::clamp<int64_t>(sum >> kWeightBits, 0, 255));
    }
    for (const WeighVariant& variant : weigh_variants()) {
      std::vector<uint8_t> out(expected.size());
      variant.weigh(in.data(), stride, groups, out.data());
      EXPECT_EQ(out, expected) << variant.name << ", " << num_groups << " groups";
    }
  }
  EXPECT_STREQ(weigh_variants().front().name, "portable");
}

TEST(Weigh, SlicesAddUpToTheWeight) {
  for (const int32_t weight : {0, 1, -1, 127, 128, 255, -129, 1 << kWeightBits, -(1 << 20) - 77, (1 << kWeightBits) + (1 << 20) + 12345}) {
    const WeightGroup group({weight, 0, 0, weight});
    EXPECT_EQ(group.slices[0][3] + 256 * group.slices[1][3] + 65536 * group.slices[2][3], weight);
  }
}

}  // namespace
}  // namespace multimeditron
