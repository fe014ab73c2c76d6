#include "cli/engine_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "data/image_loader.h"
#include "image/dicom_series.h"

namespace multimeditron {
namespace {

using Rgb = std::array<int, 3>;

/// "5;N" or "2;R;G;B": the colour as it stands behind 38; or 48;.
std::string colour_code(const Rgb& rgb, bool true_colour) {
  if (true_colour) return fmt::format("2;{};{};{}", rgb[0], rgb[1], rgb[2]);
  const auto [low, high] = std::minmax({rgb[0], rgb[1], rgb[2]});
  if (high - low < 12) return fmt::format("5;{}", high < 4 ? 16 : high > 246 ? 231 : 232 + (high - 3) * 24 / 244);  // the grey ramp
  const auto level = [](int value) { return (value * 5 + 127) / 255; };
  return fmt::format("5;{}", 16 + 36 * level(rgb[0]) + 6 * level(rgb[1]) + level(rgb[2]));
}

Rgb pixel(const RgbImage& image, int64_t x, int64_t y) {
  const uint8_t* at = image.pixels.data() + (y * image.width + x) * 3;
  return {at[0], at[1], at[2]};
}

}  // namespace

RgbImage read_image(const std::filesystem::path& path, const ScanView& scan) {
  const VolumeOptions volume = volume_options(scan);
  std::error_code code;
  const std::filesystem::path file = std::filesystem::is_directory(path, code) ? find_slice(path, volume) : path;
  const MappedFile mapped(file);
  try {
    RgbImage image = decode_image(mapped.bytes(), {.volume = volume});
    if (image.is_from_sixteen_bit_grey)
      note(fmt::format("{}: 16-bit grey images are used by their high byte; `--window minmax` or `percentile` shows all of their range",
                       file.string()));
    return image;
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
}

RgbImage visible(const ImageProcessor& processor, std::span<const float> pixel_values) {
  RgbImage image{.width = processor.width(), .height = processor.height(), .pixels = {}};
  const int64_t area = image.width * image.height;
  image.pixels.resize(static_cast<size_t>(area * 3));
  const double scale = processor.do_rescale ? 1 / processor.rescale_factor : 1;
  for (int64_t channel = 0; channel < 3; ++channel) {
    const double deviation = processor.do_normalize ? processor.image_std[channel] : 1;
    const double mean = processor.do_normalize ? processor.image_mean[channel] : 0;
    for (int64_t i = 0; i < area; ++i) {
      const double value = (pixel_values[channel * area + i] * deviation + mean) * scale;
      image.pixels[i * 3 + channel] = static_cast<uint8_t>(std::clamp(std::lround(value), 0L, 255L));
    }
  }
  return image;
}

std::vector<std::string> preview(std::span<const RgbImage> images, int64_t columns) {
  const char* promise = std::getenv("COLORTERM");
  const bool true_colour = promise != nullptr && (std::string(promise) == "truecolor" || std::string(promise) == "24bit");
  std::vector<std::string> lines;
  for (size_t i = 0; i < images.size(); ++i) {
    // A character is two pixels high, so the rows come out square.
    const int64_t pixel_rows = std::max<int64_t>(2, (columns * images[i].height / std::max<int64_t>(images[i].width, 1) + 1) / 2 * 2);
    const RgbImage small = resize_bicubic(images[i], columns, pixel_rows);
    lines.resize(std::max(lines.size(), static_cast<size_t>(pixel_rows / 2)));
    for (size_t row = 0; row < lines.size(); ++row) {
      if (i > 0) lines[row] += "  ";
      const auto y = static_cast<int64_t>(2 * row);
      if (y >= pixel_rows) {
        lines[row] += std::string(static_cast<size_t>(columns), ' ');
        continue;
      }
      for (int64_t x = 0; x < columns; ++x) {
        lines[row] += fmt::format("\x1b[38;{};48;{}m\xe2\x96\x80", colour_code(pixel(small, x, y), true_colour),
                                  colour_code(pixel(small, x, y + 1), true_colour));
      }
      lines[row] += "\x1b[0m";
    }
  }
  return lines;
}

}  // namespace multimeditron
