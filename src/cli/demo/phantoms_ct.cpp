#include <numbers>

#include "cli/demo/phantoms_lesions.h"

namespace multimeditron::demo {
namespace {

void paint_spine(Canvas& canvas, Random& random) {
  const double bone = random.uniform(0.84, 0.92), y = random.uniform(0.4, 0.44);
  canvas.fill({0, y + 0.28, 0.035, 0.12}, bone);  // spinous process
  for (const double side : {-1.0, 1.0}) canvas.fill({side * 0.13, y + 0.16, 0.12, 0.035, side * 0.35}, bone);
  canvas.fill({0, y + 0.13, 0.09, 0.09}, bone);
  canvas.fill({0, y, 0.14, 0.115}, bone);
  canvas.fill({0, y, 0.1, 0.08, 0, 0.5}, bone - 0.12);
  canvas.fill({0, y + 0.135, 0.05, 0.045}, 0.42);  // spinal canal
}

void paint_ribs(Canvas& canvas, double width, double height, Random& random) {
  const double step = random.uniform(0.34, 0.4), start = random.uniform(0, 0.3);
  for (double angle = -0.55 + start; angle < std::numbers::pi + 0.55; angle += step) {
    const double x = (width - 0.075) * std::cos(angle), y = (height - 0.07) * std::sin(angle);
    canvas.fill({x, y, 0.06, 0.022, std::atan2((height - 0.07) * std::cos(angle), -(width - 0.075) * std::sin(angle)), 0.4}, 0.85);
  }
}

void paint_kidney(Canvas& canvas, double side, Random& random) {
  const double x = side * random.uniform(0.4, 0.46), y = random.uniform(0.32, 0.38), angle = side * random.uniform(0.2, 0.4);
  const double radius = random.uniform(0.16, 0.19);
  canvas.fill({x, y, radius + 0.05, 1.3 * radius + 0.05, angle, 0.1}, 0.24);  // fat around it
  canvas.fill({x, y, radius, 1.3 * radius, angle}, random.uniform(0.58, 0.66));
  canvas.fill({x - side * 0.05, y, 0.35 * radius, 0.55 * radius, angle, 0.5}, 0.4);  // pelvis
}

void paint_body(Canvas& canvas, Random& random) {
  const double width = random.uniform(0.88, 0.94), height = random.uniform(0.76, 0.82);
  canvas.fill({0, 2.05, 1.6, 1.15, 0, 0.01}, 0.22);  // table, hollow
  canvas.fill({0, 2.08, 1.6, 1.15, 0, 0.01}, 0.05);
  canvas.fill({0, 0, width, height, 0, 0.03}, 0.3);                                          // skin and fat
  canvas.fill({0, 0, width - 0.05, height - 0.05, 0, 0.04}, random.uniform(0.4, 0.45));      // muscle
  canvas.fill({0, -0.03, width - 0.12, height - 0.13, 0, 0.05}, random.uniform(0.2, 0.26));  // fat within
  paint_ribs(canvas, width, height, random);

  const double liver = random.uniform(0.5, 0.56), spleen = random.uniform(0.54, 0.6), wobble = random.uniform(0.02, 0.06);
  const double radius = random.uniform(0.36, 0.4), phase = random.uniform(0, 6);
  canvas.fill({-0.08, -0.34, 0.3, 0.17, 0.25, 0.06, wobble, phase}, liver);
  canvas.fill({-0.42, -0.2, radius, radius, 0.4, 0.05, wobble, phase}, liver);
  canvas.fill({-0.2, -0.2, 0.05, 0.02, 0.6, 0.6}, liver + 0.1);  // vessels
  canvas.fill({-0.34, -0.12, 0.09, 0.018, -0.5, 0.6}, liver + 0.1);
  canvas.fill({-0.5, -0.3, 0.08, 0.016, 0.7, 0.6}, liver + 0.1);
  canvas.fill({0.58, -0.14, random.uniform(0.2, 0.25), random.uniform(0.32, 0.36), random.uniform(-0.35, -0.15), 0.05, wobble, phase},
              spleen);
  const double stomach_x = random.uniform(0.18, 0.26), stomach_y = random.uniform(-0.42, -0.36);
  canvas.fill({stomach_x, stomach_y, 0.2, 0.14, -0.3, 0.08}, 0.4);
  canvas.fill({stomach_x, stomach_y - 0.04, 0.13, 0.07, 0, 0.15}, 0.04);  // gas
  for (int loop = 0; loop < 4; ++loop) {                                  // bowel
    const double x = random.uniform(-0.12, 0.26), y = random.uniform(-0.14, 0.08), size = random.uniform(0.06, 0.09);
    canvas.fill({x, y, size, 0.8 * size, 0, 0.2}, 0.42);
    canvas.fill({x, y, 0.5 * size, 0.4 * size, 0, 0.4}, 0.3);
  }
  for (const double side : {-1.0, 1.0}) {
    paint_kidney(canvas, side, random);
    canvas.fill({side * 0.2, 0.44, 0.08, 0.1, 0, 0.2}, 0.44);  // psoas
    canvas.fill({side * 0.25, 0.63, 0.17, 0.08, side * -0.2, 0.2}, 0.44);
  }
  paint_spine(canvas, random);
  const double vessel = random.uniform(0.58, 0.66);
  canvas.fill({0.05, 0.24, 0.06, 0.06, 0, 0.2}, vessel);
  canvas.fill({-0.09, 0.23, 0.065, 0.05, 0, 0.2}, vessel - 0.05);
}

Zone zone(Region region) {
  if (region == Region::kKidney) return {0.46, 0.37, 0.21, 0.23};
  if (region == Region::kSpleen) return {0.57, -0.25, 0.21, 0.23};
  return {0.44, -0.26, 0.26, 0.22};  // liver; mirrored
}

void paint_lesion(Canvas& canvas, const Lesion& lesion, Random& random) {
  const double stretch = random.uniform(0.92, 1.08), angle = random.uniform(0, 3), phase = random.uniform(0, 6);
  canvas.fill({lesion.x, lesion.y, lesion.radius * stretch, lesion.radius / stretch, angle, 0.2, 0.04, phase}, random.uniform(0.93, 1.05));
}

}  // namespace

const Phantom kCtPhantom{paint_body, zone, paint_lesion};

}  // namespace multimeditron::demo
