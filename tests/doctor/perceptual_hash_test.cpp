#include "doctor/perceptual_hash.h"

#include <gtest/gtest.h>

#include <map>

#include "doctor/pictures.h"

namespace multimeditron::testing {
namespace {

bool are_near(const Miniature& a, const Miniature& b) {
  return hamming_distance(perceptual_hash(a), perceptual_hash(b)) <= kNearDistance && correlation(a, b) >= kNearCorrelation;
}

// Phantoms, which look more like what the hash is made for, are in tests/cli_demo.
TEST(PerceptualHash, AnImageIsFoundAgainAfterWhatProgramsDoToIt) {
  constexpr int kPictures = 20;
  std::vector<int> found(std::size(kChanges), 0);
  for (uint64_t seed = 0; seed < kPictures; ++seed) {
    const RgbImage original = picture(seed);
    const Miniature small = miniature(original);
    for (size_t i = 0; i < std::size(kChanges); ++i) found[i] += are_near(small, miniature(kChanges[i].apply(original)));
  }
  for (size_t i = 0; i < std::size(kChanges); ++i)
    EXPECT_GE(found[i], kPictures - 1) << kChanges[i].name;  // one of these soft pictures has no more than noise in its higher frequencies
}

TEST(PerceptualHash, DifferentImagesAreNotNear) {
  std::vector<Miniature> all;
  for (uint64_t seed = 0; seed < 40; ++seed) all.push_back(miniature(picture(seed)));
  for (size_t a = 0; a < all.size(); ++a)
    for (size_t b = 0; b < a; ++b) EXPECT_FALSE(are_near(all[a], all[b])) << a << " " << b;
}

TEST(PerceptualHash, MiniaturesAreMeansOfTheLuminance) {
  RgbImage image = flat_picture(0, 64, 64);
  for (size_t i = 0; i < 3; ++i) image.pixels[i] = 255;  // one pixel of the first cell's four
  const Miniature small = miniature(image);
  EXPECT_EQ(small.luminance[0], 64);  // 255 * (77 + 150 + 29) / 256 / 4 = 63.75
  EXPECT_EQ(small.luminance[1], 0);
  EXPECT_LT(miniature(flat_picture(9, 5, 3)).deviation(), 1e-9);
  EXPECT_EQ(correlation(miniature(flat_picture(9, 5, 3)), small), 0);
  EXPECT_NEAR(correlation(miniature(picture(3)), miniature(picture(3))), 1, 1e-9);
  EXPECT_NEAR(correlation(miniature(picture(3)), miniature(brighter(picture(3), -1, 255))), -1, 1e-3);
}

TEST(PerceptualHash, HalfOfTheBitsAreOne) {
  // 32 of the coefficients are above the median unless some are equal to it.
  const int bits = hamming_distance(perceptual_hash(miniature(picture(5))), 0);
  EXPECT_GE(bits, 31);
  EXPECT_LE(bits, 32);
}

TEST(HashIndex, FindsWhatComparingAllWithAllFinds) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> hashes;
  for (int i = 0; i < 3000; ++i) hashes.push_back(random());
  for (int i = 0; i < 300; ++i) hashes.push_back(hashes[static_cast<size_t>(i)]);  // equal ones
  const HashIndex index(hashes);
  size_t found_in_all = 0;
  for (int query = 0; query < 400; ++query) {
    uint64_t hash = hashes[random() % hashes.size()];
    for (int flips = static_cast<int>(random() % 10); flips > 0; --flips) hash ^= uint64_t{1} << random() % 64;
    std::map<size_t, int> found, expected;
    index.near(hash, [&](size_t number, int distance) { EXPECT_TRUE(found.emplace(number, distance).second) << "found twice"; });
    for (size_t i = 0; i < hashes.size(); ++i)
      if (const int distance = hamming_distance(hash, hashes[i]); distance <= kNearDistance) expected.emplace(i, distance);
    EXPECT_EQ(found, expected);
    found_in_all += found.size();
  }
  EXPECT_GT(found_in_all, 300U);
  HashIndex({}).near(1, [](size_t, int) { FAIL(); });
}

}  // namespace
}  // namespace multimeditron::testing
