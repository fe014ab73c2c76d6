#include "cli/demo/studies.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace multimeditron::demo {
namespace {

/// The mean over many phantoms, resized to 64 x 64: [64 * 64].
std::vector<double> mean_image(Kind kind, Finding finding) {
  constexpr int kCount = 60;
  std::vector<double> mean(64 * 64);
  for (int i = 0; i < kCount; ++i) {
    const RgbImage image = resize_bicubic(render_phantom(kind, finding, derive_seed(3, static_cast<uint64_t>(kind), i)), 64, 64);
    for (size_t p = 0; p < mean.size(); ++p) mean[p] += image.pixels[3 * p] / static_cast<double>(kCount);
  }
  return mean;
}

TEST(Phantoms, SameSeedSameBytes) {
  for (const Kind kind : kKinds) {
    EXPECT_EQ(render_phantom(kind, Finding::kLeft, 5).pixels, render_phantom(kind, Finding::kLeft, 5).pixels);
    EXPECT_NE(render_phantom(kind, Finding::kLeft, 5).pixels, render_phantom(kind, Finding::kLeft, 6).pixels);
  }
}

TEST(Phantoms, FindingChangesItsOwnHalfOfTheImage) {
  for (const Kind kind : kKinds) {
    const std::vector<double> normal = mean_image(kind, Finding::kNone);
    for (const Finding finding : {Finding::kLeft, Finding::kRight}) {
      const std::vector<double> abnormal = mean_image(kind, finding);
      double left = 0, right = 0;
      for (size_t p = 0; p < normal.size(); ++p) (p % 64 < 32 ? left : right) += std::pow(abnormal[p] - normal[p], 2);
      EXPECT_GT(finding == Finding::kLeft ? left / right : right / left, 3) << "kind " << static_cast<int>(kind);
    }
  }
}

TEST(Studies, SixteenInARowAreBalanced) {
  std::map<std::string, int> answers;
  Random random(1);
  for (int i = 32; i < 48; ++i) {
    const Study study = make_study(0, Split::kTest, i);
    for (const Topic topic : topics_of(study)) ++answers[ask(topic, study, random).answer];
  }
  const std::map<std::string, int> expected = {{"CT", 4},  {"MRI", 4}, {"ultrasound", 4}, {"X-ray", 4},
                                               {"yes", 8}, {"no", 8},  {"left", 4},       {"right", 4}};
  EXPECT_EQ(answers, expected);
}

TEST(Studies, SplitsShareNoSeed) {
  std::set<uint64_t> seeds;
  for (const Split split : {Split::kText, Split::kAlignment, Split::kInstructions, Split::kTest}) {
    for (int i = 0; i < 4000; ++i) seeds.insert(make_study(0, split, i).seed);
  }
  EXPECT_EQ(seeds.size(), 16000u);
}

TEST(Studies, CaptionTellsKindAndSide) {
  for (int i = 0; i < 200; ++i) {
    const Study study = make_study(9, Split::kAlignment, i);
    Random random(study.seed);
    const std::string text = caption(study, random);
    EXPECT_EQ(text.find(" left") != std::string::npos, study.finding == Finding::kLeft) << text;
    EXPECT_EQ(text.find(" right") != std::string::npos, study.finding == Finding::kRight) << text;
    EXPECT_EQ(text.find("CT") != std::string::npos, study.kind == Kind::kCt) << text;
    EXPECT_EQ(text.find("X-ray") != std::string::npos, study.kind == Kind::kXray) << text;
  }
}

}  // namespace
}  // namespace multimeditron::demo
