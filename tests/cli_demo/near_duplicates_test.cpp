#include <gtest/gtest.h>

#include "cli/demo/phantoms.h"
#include "doctor/perceptual_hash.h"
#include "doctor/pictures.h"

namespace multimeditron::testing {
namespace {

struct Phantom {
  RgbImage image;
  Miniature small;
  uint64_t hash;
  demo::Kind kind;
};

std::vector<Phantom> phantoms(int64_t count) {
  std::vector<Phantom> all;
  for (int64_t i = 0; i < count; ++i) {
    const demo::Study study = demo::make_study(0, demo::Split::kPairs, i);
    Phantom phantom{.image = demo::render(study), .small = {}, .hash = 0, .kind = study.kind};
    phantom.small = miniature(phantom.image);
    phantom.hash = perceptual_hash(phantom.small);
    all.push_back(std::move(phantom));
  }
  return all;
}

bool are_near(const Phantom& a, const Miniature& b) {
  return hamming_distance(a.hash, perceptual_hash(b)) <= kNearDistance && correlation(a.small, b) >= kNearCorrelation;
}

// Phantoms of one kind have the same body in the same place: the hash alone takes one of sixteen pairs of CTs for the same image.
TEST(NearDuplicates, PhantomsOfOtherBodiesAreNotTakenForTheSame) {
  const std::vector<Phantom> all = phantoms(300);
  int64_t by_hash_alone = 0;
  for (size_t a = 0; a < all.size(); ++a) {
    for (size_t b = 0; b < a; ++b) {
      if (hamming_distance(all[a].hash, all[b].hash) > kNearDistance) continue;
      ++by_hash_alone;
      EXPECT_LT(correlation(all[a].small, all[b].small), kNearCorrelation) << a << " " << b;
    }
  }
  EXPECT_GT(by_hash_alone, 0);
}

TEST(NearDuplicates, PhantomsAreFoundAgainAfterWhatProgramsDoToThem) {
  const std::vector<Phantom> all = phantoms(100);
  for (const Change& change : kChanges) {
    int64_t found = 0;
    for (const Phantom& phantom : all) found += are_near(phantom, miniature(change.apply(phantom.image)));
    std::printf("%-28s %lld of %zu found\n", change.name, static_cast<long long>(found), all.size());
    EXPECT_GE(found, 94) << change.name;  // of 300 phantoms 290 to 299 are found
  }
}

}  // namespace
}  // namespace multimeditron::testing
