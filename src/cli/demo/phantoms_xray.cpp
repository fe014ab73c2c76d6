#include <numbers>

#include "cli/demo/phantoms_lesions.h"

namespace multimeditron::demo {
namespace {

/// Bands that sink from the spine outwards, brightest at their edges.
void paint_ribs(Canvas& canvas, Random& random) {
  const double spacing = random.uniform(0.185, 0.215), phase = random.uniform(0, 1), strength = random.uniform(0.05, 0.09);
  canvas.paint([&](const Canvas::Point& point, double old) {
    const double x = std::abs(point.x);
    if (x > 0.82 || x < 0.06 || point.y > 0.75) return old;
    const double along = (point.y - 0.5 * (x - 0.1) * (0.9 - x) - 0.16 * x) / spacing + phase;
    const double offset = std::abs(along - std::floor(along) - 0.5);  // 0 in a rib's middle
    const double inside = std::clamp((0.2 - offset) / 0.06 + 0.5, 0.0, 1.0);
    const double edge = std::max(0.0, 1 - std::abs(offset - 0.18) / 0.06);
    return old + strength * (0.7 * inside + 0.5 * edge);
  });
}

void paint_body(Canvas& canvas, Random& random) {
  canvas.paint([](const Canvas::Point&, double) { return 0.06; });
  const double tissue = random.uniform(0.5, 0.58);
  for (const double side : {-1.0, 1.0}) canvas.fill({side * 0.72, -0.5, 0.3, 0.26, side * 0.5, 0.15}, tissue - 0.06);  // shoulders
  canvas.fill({0, 0.55, 0.93, 1.4, 0, 0.07}, tissue);
  canvas.fill({0, -0.9, 0.2, 0.4, 0, 0.1}, tissue + 0.02);  // neck
  const double lung = random.uniform(0.12, 0.2), height = random.uniform(0.68, 0.74), width = random.uniform(0.31, 0.35);
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * 0.43, -0.06, width, height, side * -0.1, 0.1}, lung);
    canvas.fill({side * 0.46, 0.3, width - 0.02, 0.42, 0, 0.1}, lung);
  }
  paint_ribs(canvas, random);
  canvas.fill({0, -0.1, 0.12, 1.1, 0, 0.3}, tissue + 0.12);       // spine and mediastinum
  canvas.fill({0.02, -0.75, 0.035, 0.3, 0, 0.5}, tissue - 0.12);  // windpipe
  const double heart = random.uniform(0.24, 0.29);
  canvas.fill({0.12, 0.3, heart, heart, 0.6, 0.14}, tissue + 0.1);
  canvas.fill({0.1, -0.28, 0.09, 0.09, 0, 0.3}, tissue + 0.1);  // aortic arch
  for (const double side : {-1.0, 1.0}) {
    canvas.fill({side * 0.17, -0.02, 0.09, 0.14, side * -0.5, 0.8}, tissue - 0.1);                                // hila
    canvas.fill({side * 0.42, (side < 0 ? 0.86 : 0.9), 0.46, random.uniform(0.26, 0.3), 0, 0.1}, tissue + 0.12);  // diaphragm
    canvas.fill({side * 0.42, -0.66, 0.38, 0.026, side * -0.22, 0.4}, tissue + 0.16);                             // clavicles
  }
}

Zone zone(Region region) {
  if (region == Region::kUpperLung) return {0.44, -0.38, 0.2, 0.28};
  return {0.47, 0.3, 0.2, 0.23};
}

void paint_lesion(Canvas& canvas, const Lesion& lesion, Random& random) {
  const double stretch = random.uniform(0.92, 1.08), angle = random.uniform(0, 3), phase = random.uniform(0, 6);
  canvas.fill({lesion.x, lesion.y, lesion.radius * stretch, lesion.radius / stretch, angle, 0.28, 0.05, phase}, random.uniform(0.94, 1.04));
}

}  // namespace

const Phantom kXrayPhantom{paint_body, zone, paint_lesion};

}  // namespace multimeditron::demo
