#include "cli/demo/phantoms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace multimeditron::demo {
namespace {

constexpr int64_t kNumStudies = 480;

/// The largest difference of a colour between two pictures of one size: [height, width]. Of cysts, whose speckle has gaps, only what is
/// darker in b, and the mean over 3 x 3 pixels.
std::vector<double> difference(const RgbImage& a, const RgbImage& b, bool is_cyst) {
  std::vector<double> raw(a.width * a.height), mean(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    for (int c = 0; c < 3; ++c) {
      const double step = a.pixels[3 * i + c] - static_cast<double>(b.pixels[3 * i + c]);
      raw[i] = std::max(raw[i], is_cyst ? step : std::abs(step));
    }
  }
  if (!is_cyst) return raw;
  for (int64_t y = 1; y + 1 < a.height; ++y) {
    for (int64_t x = 1; x + 1 < a.width; ++x) {
      for (int64_t k = 0; k < 9; ++k) mean[y * a.width + x] += raw[(y + k / 3 - 1) * a.width + x + k % 3 - 1] / 9;
    }
  }
  return mean;
}

struct Blob {
  double x = 0, y = 0, area = 0;
};

/// The connected parts of a picture above `threshold`, those of a few pixels left out.
std::vector<Blob> blobs(const std::vector<double>& values, int64_t width, double threshold) {
  std::vector<bool> is_open(values.size());
  for (size_t i = 0; i < values.size(); ++i) is_open[i] = values[i] > threshold;
  std::vector<Blob> found;
  for (size_t start = 0; start < values.size(); ++start) {
    if (!is_open[start]) continue;
    Blob blob;
    std::vector<int64_t> edge = {static_cast<int64_t>(start)};
    is_open[start] = false;
    while (!edge.empty()) {
      const int64_t at = edge.back();
      edge.pop_back();
      blob.x += static_cast<double>(at % width);
      blob.y += static_cast<double>(at / width);
      ++blob.area;
      for (const int64_t next : {at - 1, at + 1, at - width, at + width}) {
        if (next < 0 || next >= static_cast<int64_t>(values.size()) || !is_open[next]) continue;
        is_open[next] = false;
        edge.push_back(next);
      }
    }
    blob.x /= blob.area;
    blob.y /= blob.area;
    if (blob.area >= 8) found.push_back(blob);
  }
  return found;
}

Study without_finding(Study study) {
  study.finding.reset();
  return study;
}

Study on_the_other_side(Study study) {
  study.finding->side = study.finding->side == Side::kLeft ? Side::kRight : Side::kLeft;
  return study;
}

/// What a finding adds to its picture. A drawing without shapes does not exist: there it is what differs from the picture whose shapes lie
/// on the other side, in the half that is asked about.
std::vector<Blob> finding_of(const Study& study, const RgbImage& picture) {
  if (study.kind != Kind::kDrawing) {
    const bool is_cyst = study.kind == Kind::kUltrasound;  // what is brighter behind it is no part of it
    return blobs(difference(render(without_finding(study)), picture, is_cyst), picture.width, is_cyst ? 30 : 45);
  }
  std::vector<double> values = difference(render(on_the_other_side(study)), picture, false);
  for (size_t i = 0; i < values.size(); ++i) {
    const bool is_left = static_cast<int64_t>(i) % picture.width < picture.width / 2;
    if (is_left != (study.finding->side == Side::kLeft)) values[i] = 0;
  }
  return blobs(values, picture.width, 30);
}

TEST(Phantoms, SameStudySameBytes) {
  for (int64_t i = 0; i < 10; ++i) {
    const Study study = make_study(3, Split::kTest, i);
    EXPECT_EQ(render(study).pixels, render(study).pixels);
    EXPECT_NE(render(study).pixels, render({study.kind, study.finding, study.seed + 1}).pixels);
  }
}

TEST(Phantoms, AreNearlySquareAndOfManySizes) {
  std::map<int64_t, int> widths;
  for (int64_t i = 0; i < 100; ++i) {
    const RgbImage image = render(make_study(3, Split::kTest, i));
    EXPECT_EQ(image.pixels.size(), static_cast<size_t>(3 * image.width * image.height));
    EXPECT_GE(std::min(image.width, image.height), 96);
    EXPECT_LE(std::max(image.width, image.height), 160);
    EXPECT_LE(std::max(image.width, image.height), 1.15 * static_cast<double>(std::min(image.width, image.height)));
    ++widths[image.width];
  }
  EXPECT_GT(widths.size(), 15u);
}

TEST(Phantoms, FindingChangesNothingOnTheOtherSide) {
  for (int64_t i = 0; i < kNumStudies; ++i) {
    const Study study = make_study(4, Split::kPairs, i);
    if (!study.finding || study.kind == Kind::kDrawing) continue;
    const RgbImage with = render(study), without = render(without_finding(study));
    int64_t changed[2] = {0, 0};
    for (int64_t p = 0; p < with.width * with.height; ++p)
      changed[p % with.width >= with.width / 2] += with.pixels[3 * p] != without.pixels[3 * p];
    const size_t side = study.finding->side == Side::kRight;
    EXPECT_GT(changed[side], 20) << i;
    EXPECT_EQ(changed[1 - side], 0) << i;
  }
}

TEST(Phantoms, ShowAsManyFindingsAsTheyCount) {
  for (int64_t i = 0; i < kNumStudies; ++i) {
    const Study study = make_study(4, Split::kPairs, i);
    if (!study.finding) continue;
    EXPECT_EQ(static_cast<int64_t>(finding_of(study, render(study)).size()), study.finding->count)
        << i << ", kind " << static_cast<int>(study.kind);
  }
}

TEST(Phantoms, SizesLieClearlyApart) {
  std::map<std::pair<Kind, Size>, std::vector<double>> radii;  // shares of the shorter edge
  for (int64_t i = 0; i < kNumStudies; ++i) {
    const Study study = make_study(4, Split::kPairs, i);
    if (!study.finding) continue;
    const RgbImage picture = render(study);
    for (const Blob& blob : finding_of(study, picture)) {
      radii[{study.kind, study.finding->size}].push_back(std::sqrt(blob.area / 3.14159) /
                                                         static_cast<double>(std::min(picture.width, picture.height)));
    }
  }
  for (const Kind kind : kKinds) {
    std::vector<double>&small = radii[{kind, Size::kSmall}], &large = radii[{kind, Size::kLarge}];
    std::sort(small.begin(), small.end());
    std::sort(large.begin(), large.end());
    EXPECT_LT(small.back(), large.front()) << static_cast<int>(kind);
    EXPECT_NEAR(large[large.size() / 2] / small[small.size() / 2], 1.9, 0.25) << static_cast<int>(kind);
    EXPECT_GT(small[small.size() / 2], 0.036) << static_cast<int>(kind);
  }
}

TEST(Phantoms, FindingsLieInTheirRegion) {
  for (int64_t i = 0; i < kNumStudies; ++i) {
    const Study study = make_study(4, Split::kPairs, i);
    if (!study.finding || study.kind == Kind::kDrawing) continue;
    const RgbImage picture = render(study);
    const Region region = study.finding->region;
    const bool is_low =
        region == Region::kKidney || region == Region::kOccipitalLobe || region == Region::kFarField || region == Region::kLowerLung;
    for (const Blob& blob : finding_of(study, picture)) {
      const double x = (blob.x - static_cast<double>(picture.width) / 2), y = blob.y - static_cast<double>(picture.height) / 2;
      EXPECT_EQ(y > 0, is_low) << i << " at " << x << ", " << y;
      if (region == Region::kLiver) {
        EXPECT_LT(x, 0) << i;
      }
      if (region == Region::kSpleen) {
        EXPECT_GT(x, 0) << i;
      }
    }
  }
}

}  // namespace
}  // namespace multimeditron::demo
