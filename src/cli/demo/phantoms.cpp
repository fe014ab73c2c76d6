#include "cli/demo/phantoms.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cli/demo/canvas.h"
#include "cli/demo/random.h"

namespace multimeditron::demo {
namespace {

using Ellipse = Canvas::Ellipse;

/// +1 on the image's right, -1 on its left.
double sign_of(Finding finding) {
  return finding == Finding::kRight ? 1 : -1;
}

void paint_ct(Canvas& canvas, Finding finding, Random& random) {
  const double width = random.uniform(0.78, 0.9), height = random.uniform(0.58, 0.68);
  canvas.fill({0, 0, width, height, 0, 0.05}, 0.30);                                                                    // fat
  canvas.fill({0, 0, width - 0.1, height - 0.09, 0, 0.06}, random.uniform(0.44, 0.5));                                  // soft tissue
  canvas.fill({-0.36, -0.12, random.uniform(0.27, 0.34), random.uniform(0.26, 0.32), 0.3}, random.uniform(0.55, 0.6));  // liver
  canvas.fill({0.5, -0.05, random.uniform(0.12, 0.16), random.uniform(0.2, 0.26), -0.3}, random.uniform(0.55, 0.6));    // spleen
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * random.uniform(0.34, 0.4), 0.27, 0.11, 0.14, side * 0.4}, random.uniform(0.58, 0.64));  // kidneys
  }
  canvas.fill({random.uniform(0.0, 0.2), random.uniform(-0.36, -0.26), random.uniform(0.08, 0.14), 0.07}, 0.08);  // gas in the stomach
  canvas.fill({-0.02, 0.36, 0.12, 0.11}, 0.95);                                                                   // vertebra
  canvas.fill({0.03, 0.18, 0.06, 0.06}, 0.62);                                                                    // aorta
  if (finding == Finding::kNone) return;
  const double radius = random.uniform(0.15, 0.2);
  canvas.fill(
      {sign_of(finding) * random.uniform(0.34, 0.52), random.uniform(-0.18, 0.1), radius, radius * random.uniform(0.8, 1.2), 0, 0.25},
      random.uniform(0.88, 1.0));
}

void paint_mri(Canvas& canvas, Finding finding, Random& random) {
  const double width = random.uniform(0.62, 0.7), height = random.uniform(0.8, 0.88);
  canvas.fill({0, 0, width, height, 0, 0.04}, 0.75);                // scalp
  canvas.fill({0, 0, width - 0.06, height - 0.06, 0, 0.04}, 0.05);  // skull
  canvas.fill({0, 0, width - 0.12, height - 0.12, 0, 0.05}, 0.38);  // grey matter
  canvas.fill({0, 0, width - 0.22, height - 0.22, 0, 0.15}, 0.5);   // white matter
  const double folds = random.uniform(11, 15), phase = random.uniform(0, 2 * std::numbers::pi), rim = width - 0.12;
  canvas.paint([&](const Canvas::Point& point, double old) {
    const double radius = std::hypot(point.x / rim, point.y / (height - 0.12));
    if (radius > 1 || radius < 0.72) return old;
    return old + 0.08 * std::sin(folds * std::atan2(point.y, point.x) + phase);
  });
  canvas.fill({0, 0, 0.015, height - 0.14, 0, 0.8}, 0.12);  // fissure between the hemispheres
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * 0.1, random.uniform(-0.12, -0.04), 0.06, random.uniform(0.2, 0.27), side * -0.2, 0.3}, 0.1);  // ventricles
  }
  if (finding == Finding::kNone) return;
  const double radius = random.uniform(0.15, 0.2);
  canvas.fill(
      {sign_of(finding) * random.uniform(0.28, 0.38), random.uniform(-0.35, 0.35), radius, radius * random.uniform(0.8, 1.2), 0, 0.3},
      random.uniform(0.9, 1.0));
}

void paint_ultrasound(Canvas& canvas, Finding finding, Random& random) {
  const double opening = random.uniform(0.62, 0.72), depth = random.uniform(1.75, 1.85), bands = random.uniform(6, 9),
               phase = random.uniform(0, 6);
  const double attenuation = random.uniform(0.2, 0.35);
  const double radius = random.uniform(0.2, 0.26);
  const Ellipse cyst{
      sign_of(finding) * random.uniform(0.3, 0.42), random.uniform(0.05, 0.3), radius, radius * random.uniform(0.85, 1.15), 0, 0.2};
  canvas.paint([&](const Canvas::Point& point, double) {
    const double x = point.x, y = point.y + 0.95;  // the probe's centre is at the top
    const double distance = std::hypot(x, y);
    if (distance < 0.2 || distance > depth || std::abs(std::atan2(x, y)) > opening) return 0.0;
    double echo = 0.5 + 0.12 * std::sin(bands * distance + phase) - attenuation * (distance - 1);
    if (finding != Finding::kNone) {
      const double r = elliptic_radius(cyst, point);
      if (r < 1) {
        echo *= 0.06;
      } else if (std::abs(point.x - cyst.x) < 0.8 * cyst.radius_x && point.y > cyst.y) {
        echo *= 1.35;  // sound that a cyst has not weakened is brighter behind it
      }
    }
    // Speckle: the amplitude of many random echoes has a Rayleigh distribution.
    const double speckle = std::sqrt(-2 * std::log(1 - random.uniform())) / std::sqrt(std::numbers::pi / 2);
    return echo * (0.45 + 0.55 * speckle);
  });
}

void paint_xray(Canvas& canvas, Finding finding, Random& random) {
  canvas.paint([](const Canvas::Point&, double) { return 0.12; });
  canvas.fill({0, 0.35, 0.86, 1.2, 0, 0.1}, 0.6);   // trunk
  canvas.fill({0, -0.95, 0.2, 0.4, 0, 0.1}, 0.62);  // neck
  const double lung = random.uniform(0.12, 0.2), height = random.uniform(0.56, 0.66);
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * random.uniform(0.38, 0.42), -0.05, random.uniform(0.26, 0.3), height, side * 0.08, 0.15}, lung);
  }
  const double ribs = random.uniform(15, 19), phase = random.uniform(0, 6);
  canvas.paint([&](const Canvas::Point& point, double old) {
    const double wave = std::sin(ribs * (point.y - 0.5 * point.x * point.x) + phase);
    return std::abs(point.x) < 0.75 ? old + 0.06 * std::max(0.0, wave) : old;
  });
  canvas.fill({0, 0, 0.1, 1.0, 0, 0.3}, 0.8);                                                       // spine and mediastinum
  canvas.fill({0.14, 0.28, random.uniform(0.24, 0.3), random.uniform(0.24, 0.3), 0.5, 0.2}, 0.78);  // heart
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * 0.42, 0.72, 0.4, random.uniform(0.2, 0.26), 0, 0.2}, 0.72);  // diaphragm
    canvas.fill({side * 0.4, -0.6, 0.36, 0.035, side * -0.25, 0.5}, 0.72);           // clavicles
  }
  if (finding == Finding::kNone) return;
  canvas.add_bell(
      {sign_of(finding) * random.uniform(0.4, 0.48), random.uniform(-0.32, 0.12), random.uniform(0.22, 0.3), random.uniform(0.22, 0.3)},
      random.uniform(0.6, 0.75));
}

}  // namespace

RgbImage render_phantom(Kind kind, Finding finding, uint64_t seed) {
  Random random(seed);
  const int64_t side = 64 + 8 * random.index(3);
  Canvas canvas(side, {random.uniform(-0.06, 0.06), random.uniform(-0.06, 0.06), random.uniform(0.92, 1.08), random.uniform(-0.08, 0.08)});
  double noise = random.uniform(0.015, 0.04);
  switch (kind) {
    case Kind::kCt:
      paint_ct(canvas, finding, random);
      break;
    case Kind::kMri:
      paint_mri(canvas, finding, random);
      break;
    case Kind::kUltrasound:
      paint_ultrasound(canvas, finding, random);
      break;
    case Kind::kXray:
      paint_xray(canvas, finding, random);
      noise /= 2;
      break;
  }
  return canvas.develop(random.uniform(0.85, 1.15), random.uniform(-0.05, 0.05), noise, random);
}

}  // namespace multimeditron::demo
