#include "cli/demo/canvas.h"

#include <algorithm>
#include <cmath>

namespace multimeditron::demo {

Canvas::Canvas(int64_t side, const Pose& pose) : side_(side), pose_(pose), values_(side * side, 0.0) {}

Canvas::Point Canvas::point(int64_t pixel) const {
  const double half = static_cast<double>(side_) / 2;
  const int64_t row = pixel / side_, column = pixel % side_;
  const double x = (static_cast<double>(column) + 0.5) / half - 1 - pose_.shift_x;
  const double y = (static_cast<double>(row) + 0.5) / half - 1 - pose_.shift_y;
  const double c = std::cos(pose_.angle), s = std::sin(pose_.angle);
  return {(c * x + s * y) / pose_.scale, (c * y - s * x) / pose_.scale};
}

double elliptic_radius(const Canvas::Ellipse& ellipse, const Canvas::Point& point) {
  const double x = point.x - ellipse.x, y = point.y - ellipse.y;
  const double c = std::cos(ellipse.angle), s = std::sin(ellipse.angle);
  return std::hypot((c * x + s * y) / ellipse.radius_x, (c * y - s * x) / ellipse.radius_y);
}

void Canvas::fill(const Ellipse& ellipse, double value) {
  paint([&](const Point& point, double old) {
    const double cover = std::clamp((1 - elliptic_radius(ellipse, point)) / ellipse.softness + 0.5, 0.0, 1.0);
    return old + cover * (value - old);
  });
}

void Canvas::add_bell(const Ellipse& ellipse, double value) {
  paint([&](const Point& point, double old) {
    const double radius = elliptic_radius(ellipse, point);
    return old + value * std::exp(-0.5 * 3 * radius * radius);
  });
}

RgbImage Canvas::develop(double contrast, double brightness, double noise, Random& random) const {
  RgbImage image{side_, side_, {}};
  image.pixels.reserve(3 * values_.size());
  for (const double value : values_) {
    const double shown = (value - 0.5) * contrast + 0.5 + brightness + noise * random.normal();
    const auto grey = static_cast<uint8_t>(std::lround(255 * std::clamp(shown, 0.0, 1.0)));
    image.pixels.insert(image.pixels.end(), 3, grey);
  }
  return image;
}

}  // namespace multimeditron::demo
