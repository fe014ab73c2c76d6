#include <numbers>

#include "cli/demo/phantoms_lesions.h"

namespace multimeditron::demo {
namespace {

constexpr double kApex = -2.3;  // where the beams of the curved probe meet, above the picture

/// Amplitudes of many random echoes, Rayleigh-distributed with mean 1, and as coarse as the beam is wide.
Canvas speckle(int64_t width, int64_t height, Random& random) {
  Canvas field(width, height, {});
  field.paint(
      [&](const Canvas::Point&, double) { return std::sqrt(-2 * std::log(1 - random.uniform())) / std::sqrt(std::numbers::pi / 2); });
  field.blur(random.uniform(0.45, 0.75));
  return field;
}

void paint_body(Canvas& canvas, Random& random) {
  const double opening = random.uniform(0.32, 0.36), near = random.uniform(1.36, 1.42), far = random.uniform(3.14, 3.24);
  const double gain = random.uniform(0.42, 0.52), attenuation = random.uniform(0.04, 0.12);
  double amplitude[3], frequency[3], phase[3], slope[3];
  for (int i = 0; i < 3; ++i) {  // layers of tissue
    amplitude[i] = random.uniform(0.03, 0.07);
    frequency[i] = random.uniform(4, 14);
    phase[i] = random.uniform(0, 6);
    slope[i] = random.uniform(-2.5, 2.5);
  }
  const Canvas field = speckle(canvas.width(), canvas.height(), random);
  size_t pixel = 0;
  canvas.paint([&](const Canvas::Point& point, double) {
    const double grain = field.values()[pixel++];
    const double y = point.y - kApex, distance = std::sqrt(point.x * point.x + y * y), angle = std::atan2(point.x, y);
    const double edge = std::min({(opening - std::abs(angle)) * distance, distance - near, far - distance});
    if (edge < 0) return 0.02;
    const double depth = distance - near;
    double echo = gain - attenuation * depth;
    for (int i = 0; i < 3; ++i) echo += amplitude[i] * std::sin(frequency[i] * depth + slope[i] * angle + phase[i]);
    if (depth < 0.05) echo += 0.35;                  // skin
    if (depth > 0.12 && depth < 0.15) echo += 0.18;  // fascia
    return std::min(1.0, edge / 0.02) * echo * (0.3 + 0.7 * grain);
  });
}

Zone zone(Region region) {
  if (region == Region::kNearField) return {0.36, -0.42, 0.19, 0.29};
  return {0.45, 0.43, 0.25, 0.25};
}

/// A cyst gives no echo, and sound that it has not weakened is brighter behind it.
void paint_lesion(Canvas& canvas, const Lesion& lesion, Random& random) {
  const double stretch = random.uniform(0.95, 1.08);
  const Canvas::Ellipse cyst{lesion.x, lesion.y, lesion.radius * stretch, lesion.radius / stretch, 0, 0.12};
  const double angle = std::atan2(lesion.x, lesion.y - kApex), depth = std::hypot(lesion.x, lesion.y - kApex);
  const double brighter = random.uniform(0.25, 0.4), wall = random.uniform(0.1, 0.3);
  canvas.paint([&](const Canvas::Point& point, double old) {
    const double radius = elliptic_radius(cyst, point);
    const double inside = cover(cyst, radius);
    if (inside > 0) return old * (1 - 0.95 * inside);
    if (radius < 1.2) return old * (1 + wall);
    const double y = point.y - kApex, behind = std::sqrt(point.x * point.x + y * y) - depth;
    if (behind < 0 || behind > 0.5 || std::abs(std::atan2(point.x, y) - angle) * depth > 0.8 * lesion.radius) return old;
    return old * (1 + brighter * (1 - behind / 0.5));
  });
}

}  // namespace

const Phantom kUltrasoundPhantom{paint_body, zone, paint_lesion};

}  // namespace multimeditron::demo
