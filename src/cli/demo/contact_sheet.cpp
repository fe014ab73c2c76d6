#include "cli/demo/contact_sheet.h"

#include <algorithm>
#include <vector>

#include "cli/demo/phantoms.h"

namespace multimeditron::demo {
namespace {

constexpr int64_t kColumns = 9, kNormal = 3, kCell = 128, kGap = 3;
constexpr uint8_t kGround = 24;

/// The first images of a kind: up to `kNormal` without a finding, then those with one.
std::vector<Study> row_of(uint64_t seed, size_t kind) {
  std::vector<Study> normal, abnormal;
  for (int64_t i = static_cast<int64_t>(kind); i < kStudiesPerBlock; i += static_cast<int64_t>(kKinds.size())) {
    const Study study = make_study(seed, Split::kTest, i);
    (study.finding ? abnormal : normal).push_back(study);
  }
  normal.resize(std::min<size_t>(normal.size(), kNormal));
  normal.insert(normal.end(), abnormal.begin(), abnormal.end());
  normal.resize(kColumns);
  return normal;
}

/// Puts the picture into a cell, as large as fits and centred.
void place(RgbImage& sheet, const RgbImage& picture, int64_t left, int64_t top) {
  const int64_t longer = std::max(picture.width, picture.height);
  const int64_t width = picture.width * kCell / longer, height = picture.height * kCell / longer;
  const RgbImage scaled = resize_bicubic(picture, width, height);
  left += (kCell - width) / 2;
  top += (kCell - height) / 2;
  for (int64_t y = 0; y < height; ++y) {
    std::copy_n(scaled.pixels.begin() + 3 * y * width, 3 * width, sheet.pixels.begin() + 3 * ((top + y) * sheet.width + left));
  }
}

}  // namespace

RgbImage contact_sheet(uint64_t seed) {
  const auto rows = static_cast<int64_t>(kKinds.size());
  RgbImage sheet{kColumns * (kCell + kGap) + kGap, rows * (kCell + kGap) + kGap, {}};
  sheet.pixels.assign(static_cast<size_t>(3 * sheet.width * sheet.height), kGround);
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<Study> studies = row_of(seed, static_cast<size_t>(row));
    for (int64_t column = 0; column < kColumns; ++column) {
      place(sheet, render(studies[column]), kGap + column * (kCell + kGap), kGap + row * (kCell + kGap));
    }
  }
  return sheet;
}

}  // namespace multimeditron::demo
