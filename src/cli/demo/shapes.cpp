#include "cli/demo/shapes.h"

#include <array>
#include <numbers>

#include "cli/demo/phantoms_lesions.h"

namespace multimeditron::demo {
namespace {

using Rgb = std::array<double, 3>;

Rgb rgb(Colour colour) {
  switch (colour) {
    case Colour::kRed:
      return {0.86, 0.16, 0.15};
    case Colour::kGreen:
      return {0.13, 0.62, 0.25};
    case Colour::kBlue:
      return {0.13, 0.33, 0.85};
    case Colour::kYellow:
      break;
  }
  return {0.98, 0.8, 0.1};
}

/// Radius of the corners: the shapes cover about the same area as the circle.
double corner_radius(Shape shape) {
  switch (shape) {
    case Shape::kCircle:
      return 1;
    case Shape::kSquare:
      return 1.25;
    case Shape::kTriangle:
      return 1.4;
    case Shape::kStar:
      break;
  }
  return 1.45;
}

/// Distance from the outline of a shape whose corners lie at distance 1 from the origin, positive inside. Regular polygons and stars repeat
/// with the angle, which leaves one straight line: from the corner to the middle of the side, or to the star's inner corner.
double depth_in_shape(Shape shape, double x, double y) {
  const double radius = std::sqrt(x * x + y * y);
  if (shape == Shape::kCircle) return 1 - radius;
  const double corners = shape == Shape::kSquare ? 4 : shape == Shape::kTriangle ? 3 : 5;
  const double half = std::numbers::pi / corners, inner = shape == Shape::kStar ? 0.45 : std::cos(half);
  // The angle from the nearest corner; a square stands on a side, the others have a corner on top.
  double angle = std::atan2(x, -y) + (shape == Shape::kSquare ? half : 0.0);
  angle = std::abs(angle - 2 * half * std::round(angle / (2 * half)));
  const double px = radius * std::cos(angle), py = radius * std::sin(angle);
  const double dx = inner * std::cos(half) - 1, dy = inner * std::sin(half);
  return (dx * py - dy * (px - 1)) / std::hypot(dx, dy);
}

}  // namespace

std::vector<Canvas> paint_shapes(int64_t width, int64_t height, const Pose& pose, const Finding& finding, Random& body,
                                 Random& finding_random) {
  static constexpr std::array<Rgb, 7> kGrounds = {Rgb{0.8, 0.88, 0.95}, Rgb{0.83, 0.92, 0.82}, Rgb{0.88, 0.84, 0.94}, Rgb{0.96, 0.95, 0.92},
                                                  Rgb{0.8, 0.76, 0.72}, Rgb{0.2, 0.22, 0.3},   Rgb{0.1, 0.1, 0.12}};
  std::vector<Canvas> planes(3, Canvas(width, height, pose));
  const Rgb top = body.choose(kGrounds);
  const double shade = body.uniform(-0.12, 0.12), slope = body.uniform(-1, 1);
  for (size_t c = 0; c < 3; ++c) {
    planes[c].paint([&](const Canvas::Point& point, double) { return top[c] + shade * (point.y + slope * point.x) / 2; });
  }

  const double corner = corner_radius(finding.shape), small_radius = 0.115;
  const double reach = small_radius * corner * (finding.size == Size::kLarge ? kLargeToSmall : 1.0) * 1.06;
  const Zone zone{(0.06 + 0.95) / 2, 0, std::max(0.05, (0.95 - 0.06) / 2 - reach), 0.93 - reach};
  Rgb ink = rgb(finding.colour);
  for (double& channel : ink) channel += finding_random.uniform(-0.06, 0.06);
  const bool is_outlined = finding_random.index(2) == 0;
  const double turn = finding_random.uniform(-0.12, 0.12);
  for (const Lesion& place : place_lesions(finding, zone, small_radius * corner, 0.05, finding_random)) {
    const double c = std::cos(turn) / place.radius, s = std::sin(turn) / place.radius;
    for (size_t channel = 0; channel < 3; ++channel) {
      planes[channel].paint_near({place.x, place.y}, 1.1 * place.radius, [&](const Canvas::Point& point, double old) {
        const double dx = point.x - place.x, dy = point.y - place.y;
        const double depth = depth_in_shape(finding.shape, c * dx + s * dy, c * dy - s * dx) * place.radius;
        const double inside = std::clamp(depth / 0.02 + 0.5, 0.0, 1.0);
        const double value = is_outlined && depth < 0.025 ? 0.55 * ink[channel] : ink[channel];
        return old + inside * (value - old);
      });
    }
  }
  return planes;
}

}  // namespace multimeditron::demo
