#include <numbers>

#include "cli/demo/phantoms_lesions.h"

namespace multimeditron::demo {
namespace {

/// Grey matter around white matter: the border between them, and the folds at the surface, go in and out at random.
void paint_cortex(Canvas& canvas, double width, double height, Random& random) {
  constexpr int kWaves = 5;
  double amplitude[kWaves], frequency[kWaves], phase[kWaves];
  for (int i = 0; i < kWaves; ++i) {
    amplitude[i] = random.uniform(0.015, 0.04);
    frequency[i] = std::floor(random.uniform(6, 22));
    phase[i] = random.uniform(0, 2 * std::numbers::pi);
  }
  const double grey = random.uniform(0.34, 0.4), white = random.uniform(0.5, 0.56);
  canvas.paint([&](const Canvas::Point& point, double old) {
    const double radius = std::sqrt(point.x * point.x / (width * width) + point.y * point.y / (height * height));
    if (radius > 1.05) return old;
    const double angle = std::atan2(point.y / height, point.x / width);
    double fold = 0;
    for (int i = 0; i < kWaves; ++i) fold += amplitude[i] * std::sin(frequency[i] * angle + phase[i]);
    const double brain = std::clamp((0.97 + 0.4 * std::min(fold, 0.0) - radius) / 0.05 + 0.5, 0.0, 1.0);
    const double core = std::clamp((0.8 + 1.6 * fold - radius) / 0.08 + 0.5, 0.0, 1.0);
    return old + brain * (grey + core * (white - grey) - old);
  });
}

void paint_body(Canvas& canvas, Random& random) {
  const double width = random.uniform(0.74, 0.8), height = random.uniform(0.88, 0.93);
  canvas.fill({0, 0, width, height, 0, 0.03}, random.uniform(0.62, 0.75));  // scalp
  canvas.fill({0, 0, width - 0.05, height - 0.05, 0, 0.03}, 0.06);          // skull
  canvas.fill({0, 0, width - 0.09, height - 0.09, 0, 0.04}, 0.14);          // fluid
  paint_cortex(canvas, width - 0.09, height - 0.09, random);
  canvas.fill({0, 0, 0.014, height - 0.1, 0, 0.8}, 0.14);  // fissure between the hemispheres
  const double front = random.uniform(-0.24, -0.2), back = random.uniform(0.2, 0.26), size = random.uniform(0.85, 1.1);
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * 0.16, 0.02, 0.1, 0.17, side * 0.3, 0.4}, 0.42);                   // deep grey matter
    canvas.fill({side * 0.08, front, 0.045 * size, 0.13 * size, side * 0.35, 0.3}, 0.1);  // ventricles, front and back
    canvas.fill({side * 0.11, back, 0.04 * size, 0.13 * size, side * -0.35, 0.3}, 0.1);
  }
  canvas.fill({0, 0.02, 0.02, 0.08, 0, 0.4}, 0.12);
  const double tilt_x = random.uniform(-0.1, 0.1), tilt_y = random.uniform(-0.1, 0.1);  // coils do not receive evenly
  canvas.paint([&](const Canvas::Point& point, double old) { return old * (1 + tilt_x * point.x + tilt_y * point.y); });
}

Zone zone(Region region) {
  return {0.34, region == Region::kFrontalLobe ? -0.35 : 0.35, 0.21, 0.26};
}

void paint_lesion(Canvas& canvas, const Lesion& lesion, Random& random) {
  const double stretch = random.uniform(0.9, 1.1), angle = random.uniform(0, 3), phase = random.uniform(0, 6);
  canvas.fill({lesion.x, lesion.y, lesion.radius * stretch, lesion.radius / stretch, angle, 0.25, 0.06, phase}, random.uniform(0.92, 1.05));
}

}  // namespace

const Phantom kMriPhantom{paint_body, zone, paint_lesion};

}  // namespace multimeditron::demo
