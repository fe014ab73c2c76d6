#include "cli/demo/canvas.h"

namespace multimeditron::demo {

Canvas::Canvas(int64_t width, int64_t height, const Pose& pose)
    : width_(width),
      height_(height),
      unit_(2.0 / static_cast<double>(std::min(width, height))),
      offset_x_((static_cast<double>(width) - 1) / 2 * unit_ + pose.shift_x),
      offset_y_((static_cast<double>(height) - 1) / 2 * unit_ + pose.shift_y),
      cos_(std::cos(pose.angle) / pose.scale),
      sin_(std::sin(pose.angle) / pose.scale),
      values_(width * height, 0.0) {}

double elliptic_radius(const Canvas::Ellipse& ellipse, const Canvas::Point& point) {
  const double dx = point.x - ellipse.x, dy = point.y - ellipse.y;
  const double c = std::cos(ellipse.angle), s = std::sin(ellipse.angle);
  const double x = (c * dx + s * dy) / ellipse.radius_x, y = (c * dy - s * dx) / ellipse.radius_y;
  const double radius = std::sqrt(x * x + y * y);
  if (ellipse.wobble == 0) return radius;
  return radius / (1 + ellipse.wobble * std::sin(3 * std::atan2(y, x) + ellipse.phase));
}

void Canvas::fill(const Ellipse& ellipse, double value) {
  const double reach = std::max(ellipse.radius_x, ellipse.radius_y) * (1 + ellipse.softness / 2) * (1 + ellipse.wobble);
  paint_near({ellipse.x, ellipse.y}, reach, [&](const Point& point, double old) {
    const double dx = point.x - ellipse.x, dy = point.y - ellipse.y;
    if (dx * dx + dy * dy > reach * reach) return old;
    return old + cover(ellipse, elliptic_radius(ellipse, point)) * (value - old);
  });
}

void Canvas::blur(double deviation) {
  if (deviation < 0.2) return;  // the neighbours' weight would be below 1e-5
  const auto reach = static_cast<int64_t>(std::ceil(3 * deviation));
  std::vector<double> kernel;
  double sum = 0;
  for (int64_t i = -reach; i <= reach; ++i) {
    kernel.push_back(std::exp(-0.5 * static_cast<double>(i * i) / (deviation * deviation)));
    sum += kernel.back();
  }
  const auto pass = [&](int64_t lines, int64_t length, int64_t line_stride, int64_t stride) {
    std::vector<double> line(length + 2 * reach);
    for (int64_t l = 0; l < lines; ++l) {
      double* values = values_.data() + l * line_stride;
      for (int64_t i = 0; i < length + 2 * reach; ++i) line[i] = values[std::clamp<int64_t>(i - reach, 0, length - 1) * stride];
      for (int64_t i = 0; i < length; ++i) {
        double value = 0;
        for (int64_t k = 0; k <= 2 * reach; ++k) value += kernel[k] * line[i + k];
        values[i * stride] = value / sum;
      }
    }
  };
  pass(height_, width_, width_, 1);
  pass(width_, height_, 1, width_);
}

RgbImage develop(std::vector<Canvas> planes, const Exposure& exposure, Random& random) {
  for (Canvas& plane : planes) plane.blur(exposure.blur);
  RgbImage image{planes[0].width(), planes[0].height(), {}};
  image.pixels.resize(static_cast<size_t>(3 * image.width * image.height));
  for (int64_t i = 0; i < image.width * image.height; ++i) {
    uint8_t shown = 0;
    for (size_t channel = 0; channel < 3; ++channel) {
      if (channel < planes.size()) {
        const double value =
            (planes[channel].values()[i] - 0.5) * exposure.contrast + 0.5 + exposure.brightness + exposure.noise * random.normal();
        shown = static_cast<uint8_t>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
      }
      image.pixels[3 * i + static_cast<int64_t>(channel)] = shown;
    }
  }
  return image;
}

}  // namespace multimeditron::demo
