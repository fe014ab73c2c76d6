#pragma once

#include <cstdint>
#include <vector>

#include "cli/demo/random.h"
#include "image/image.h"

namespace multimeditron::demo {

/// How a body lies in the picture: shifted, scaled and turned a little.
struct Pose {
  double shift_x = 0, shift_y = 0, scale = 1, angle = 0;
};

/// A grey picture, painted in coordinates in which the picture is [-1, 1] x [-1, 1], x to the right, y down, before the pose.
class Canvas {
 public:
  Canvas(int64_t side, const Pose& pose);

  /// Where a pixel lies before the pose.
  struct Point {
    double x = 0, y = 0;
  };
  /// Every pixel becomes function(point, its old value).
  template <class Function>
  void paint(const Function& function) {
    for (int64_t i = 0; i < side_ * side_; ++i) values_[i] = function(point(i), values_[i]);
  }

  /// An ellipse of brightness `value`, blended in over its soft border (a share of its radius).
  struct Ellipse {
    double x = 0, y = 0, radius_x = 0, radius_y = 0, angle = 0, softness = 0.08;
  };
  void fill(const Ellipse& ellipse, double value);
  /// Adds a bell of height `value` instead of covering.
  void add_bell(const Ellipse& ellipse, double value);

  /// (value - 0.5) * contrast + 0.5 + brightness, then noise of the given standard deviation, then 8 bit.
  RgbImage develop(double contrast, double brightness, double noise, Random& random) const;

 private:
  Point point(int64_t pixel) const;

  int64_t side_;
  Pose pose_;
  std::vector<double> values_;  // [side, side], 0 black, 1 white
};

/// Distance from an ellipse's centre in units of its radii: 1 on its border.
double elliptic_radius(const Canvas::Ellipse& ellipse, const Canvas::Point& point);

}  // namespace multimeditron::demo
