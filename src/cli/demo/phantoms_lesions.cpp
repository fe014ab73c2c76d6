#include "cli/demo/phantoms_lesions.h"

#include <cmath>
#include <numbers>

namespace multimeditron::demo {
namespace {

constexpr double kMargin = 0.08;  // between a lesion and the middle of the picture: the pose does not carry it over

Lesion draw_lesion(const Zone& zone, double radius, Random& random) {
  const double distance = std::sqrt(random.uniform()), angle = random.uniform(0, 2 * std::numbers::pi);
  const double x = zone.x + zone.radius_x * distance * std::cos(angle);
  return {std::max(x, radius + kMargin), zone.y + zone.radius_y * distance * std::sin(angle), radius * random.uniform(0.98, 1.02)};
}

bool is_apart(const std::vector<Lesion>& lesions, const Lesion& other, double gap) {
  for (const Lesion& each : lesions) {
    if (std::hypot(each.x - other.x, each.y - other.y) < each.radius + other.radius + gap) return false;
  }
  return true;
}

}  // namespace

std::vector<Lesion> place_lesions(const Finding& finding, const Zone& zone, double small_radius, double gap, Random& random) {
  constexpr int kTries = 100, kTriesOfOne = 40;
  double radius = small_radius * (finding.size == Size::kLarge ? kLargeToSmall : 1.0) * random.uniform(0.97, 1.03);
  std::vector<Lesion> lesions;
  for (int tries = 1; static_cast<int64_t>(lesions.size()) < finding.count; ++tries) {
    if (tries % kTries == 0) radius *= 0.98;
    lesions.clear();
    for (int i = 0; i < kTriesOfOne && static_cast<int64_t>(lesions.size()) < finding.count; ++i) {
      const Lesion lesion = draw_lesion(zone, radius, random);
      if (is_apart(lesions, lesion, gap)) lesions.push_back(lesion);
    }
  }
  if (finding.side == Side::kLeft) {
    for (Lesion& lesion : lesions) lesion.x = -lesion.x;
  }
  return lesions;
}

}  // namespace multimeditron::demo
