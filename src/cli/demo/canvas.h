#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cli/demo/random.h"
#include "image/image.h"

namespace multimeditron::demo {

/// How a body lies in the picture: shifted, scaled and turned a little.
struct Pose {
  double shift_x = 0, shift_y = 0, scale = 1, angle = 0;
};

/// A grey picture, or one of a picture's three colours. It is painted in coordinates whose unit is half the shorter edge and whose origin
/// is the centre, x to the right, y down, before the pose: [-1, 1] x [-1, 1] is what a square crop leaves.
class Canvas {
 public:
  Canvas(int64_t width, int64_t height, const Pose& pose);

  struct Point {
    double x = 0, y = 0;
  };
  /// Every pixel becomes function(where it lies before the pose, its old value).
  template <class Function>
  void paint(const Function& function) {
    paint_box(0, height_, 0, width_, function);
  }
  /// The same for the pixels within `reach` of `centre`, and perhaps a few more.
  template <class Function>
  void paint_near(const Point& centre, double reach, const Function& function) {
    const double scale = std::sqrt(cos_ * cos_ + sin_ * sin_);  // one over the pose's
    const double x = (cos_ * centre.x - sin_ * centre.y) / (scale * scale), y = (cos_ * centre.y + sin_ * centre.x) / (scale * scale);
    const double column = (x + offset_x_) / unit_, row = (y + offset_y_) / unit_, pixels = reach / scale / unit_;
    const auto clamp = [](double value, int64_t end) { return std::clamp<int64_t>(static_cast<int64_t>(std::floor(value)), 0, end); };
    paint_box(clamp(row - pixels, height_), clamp(row + pixels + 2, height_), clamp(column - pixels, width_),
              clamp(column + pixels + 2, width_), function);
  }

  /// An ellipse of brightness `value`, blended in over its soft border (a share of its radius). `wobble` makes the outline uneven by that
  /// share of the radius.
  struct Ellipse {
    double x = 0, y = 0, radius_x = 0, radius_y = 0, angle = 0, softness = 0.08, wobble = 0, phase = 0;
  };
  void fill(const Ellipse& ellipse, double value);

  /// Gaussian of `deviation` pixels; edges repeat.
  void blur(double deviation);

  int64_t width() const { return width_; }
  int64_t height() const { return height_; }
  const std::vector<double>& values() const { return values_; }

 private:
  Point point(int64_t row, int64_t column) const {
    const double x = static_cast<double>(column) * unit_ - offset_x_, y = static_cast<double>(row) * unit_ - offset_y_;
    return {cos_ * x + sin_ * y, cos_ * y - sin_ * x};
  }

  template <class Function>
  void paint_box(int64_t top, int64_t bottom, int64_t left, int64_t right, const Function& function) {
    for (int64_t row = top; row < bottom; ++row) {
      for (int64_t column = left; column < right; ++column) {
        double& value = values_[row * width_ + column];
        value = function(point(row, column), value);
      }
    }
  }

  int64_t width_, height_;
  double unit_, offset_x_, offset_y_, cos_, sin_;
  std::vector<double> values_;  // [height, width], 0 black, 1 white
};

/// Distance from an ellipse's centre in units of its radii: 1 on its border.
double elliptic_radius(const Canvas::Ellipse& ellipse, const Canvas::Point& point);
/// How much of a pixel at `elliptic_radius` an ellipse covers: 1 inside, 0 outside.
inline double cover(const Canvas::Ellipse& ellipse, double radius) {
  return std::clamp((1 - radius) / ellipse.softness + 0.5, 0.0, 1.0);
}

/// What happens to a picture between the body and the file.
struct Exposure {
  double contrast = 1, brightness = 0;
  double blur = 0;   ///< standard deviation in pixels
  double noise = 0;  ///< standard deviation, of black to white = 1
};

/// One canvas gives a grey picture, three (red, green, blue) a coloured one: blurred, then (value - 0.5) * contrast + 0.5 + brightness,
/// then noise, then 8 bit.
RgbImage develop(std::vector<Canvas> planes, const Exposure& exposure, Random& random);

}  // namespace multimeditron::demo
