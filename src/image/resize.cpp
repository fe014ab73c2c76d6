// Pillow's 8-bit resampling: each output value is a sum over a window of input values with fixed-point coefficients, rounded to 8 bit
// after each of the two passes. The window and the coefficients follow Pillow to the bit; the loops are laid out for vector units.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "image/image.h"

// The vector loops below are compiled twice where the compiler can choose at run time.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOR_BEST_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_BEST_CPU
#endif

namespace multimeditron {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;  // 8 bits of a pixel and 2 of headroom for the filter's overshoot
constexpr int kLanes = 16;                  // rows that the horizontal pass takes at once

double filter_value(Resample resample, double x) {
  x = std::abs(x);
  if (resample == Resample::kLanczos) {
    const auto sinc = [](double value) { return value == 0.0 ? 1.0 : std::sin(value * std::numbers::pi) / (value * std::numbers::pi); };
    return x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
  }
  if (resample == Resample::kBilinear) return x < 1.0 ? 1.0 - x : 0.0;
  constexpr double a = -0.5;
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

/// For each output position of one axis: the first input position of its window and the window's coefficients.
struct Windows {
  struct Window {
    int64_t first = 0, size = 0;
    size_t offset = 0;  // into coefficients
  };
  std::vector<Window> windows;
  std::vector<int32_t> coefficients;
  int64_t first = 0, end = 0;  // input positions that any window needs
};

/// Windows of output positions [out_first, out_first + out_count) of an axis resized from in_size to out_size.
Windows make_windows(Resample resample, int64_t in_size, int64_t out_size, int64_t out_first, int64_t out_count) {
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = (resample == Resample::kLanczos ? 3.0 : resample == Resample::kBilinear ? 1.0 : 2.0) * filter_scale;
  const double inverse_filter_scale = 1.0 / filter_scale;
  Windows result;
  result.first = in_size;
  result.windows.reserve(static_cast<size_t>(out_count));
  std::vector<double> weights;
  for (int64_t out = out_first; out < out_first + out_count; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t end = std::min(static_cast<int64_t>(center + support + 0.5), in_size);
    weights.clear();
    double sum = 0.0;
    for (int64_t i = first; i < end; ++i) {
      weights.push_back(filter_value(resample, (static_cast<double>(i) - center + 0.5) * inverse_filter_scale));
      sum += weights.back();
    }
    result.windows.push_back({first, end - first, result.coefficients.size()});
    for (double weight : weights) {
      if (sum != 0.0) weight /= sum;
      // Half away from zero; the cast truncates.
      result.coefficients.push_back(static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kPrecisionBits)));
    }
    result.first = std::min(result.first, first);
    result.end = std::max(result.end, end);
  }
  return result;
}

using Bytes [[gnu::vector_size(16)]] = uint8_t;
using Shorts [[gnu::vector_size(32)]] = int16_t;
using HalfShorts [[gnu::vector_size(16)]] = int16_t;
using Ints [[gnu::vector_size(32)]] = int32_t;

/// Sixteen sums, begun with the half that makes the final shift round.
struct Sums {
  Ints low = Ints{} + (1 << (kPrecisionBits - 1)), high = low;

  /// += bytes[0 .. 16) * k. Widened in two steps, since compilers do the whole way element by element.
  [[gnu::always_inline]] void add(const uint8_t* bytes, int32_t k) {
    Bytes narrow;
    std::memcpy(&narrow, bytes, sizeof narrow);
    const Shorts wide = __builtin_convertvector(narrow, Shorts);
    HalfShorts halves[2];
    std::memcpy(halves, &wide, sizeof wide);
    low += __builtin_convertvector(halves[0], Ints) * k;
    high += __builtin_convertvector(halves[1], Ints) * k;
  }
  /// The sums as pixels, limited to 0 .. 255.
  [[gnu::always_inline]] void store(uint8_t* out) const {
    Ints low_pixels = low >> kPrecisionBits, high_pixels = high >> kPrecisionBits;
    clip(low_pixels);
    clip(high_pixels);
    const HalfShorts halves[2] = {__builtin_convertvector(low_pixels, HalfShorts), __builtin_convertvector(high_pixels, HalfShorts)};
    Shorts wide;
    std::memcpy(&wide, halves, sizeof wide);
    const Bytes narrow = __builtin_convertvector(wide, Bytes);
    std::memcpy(out, &narrow, sizeof narrow);
  }

 private:
  [[gnu::always_inline]] static void clip(Ints& value) {
    value = value < 0 ? 0 : value;
    value = value > 255 ? 255 : value;
  }
};

/// [16 rows][16 columns] -> [16 columns][16 rows], rows `in_stride` and `out_stride` bytes apart.
void transpose_tile(const uint8_t* in, int64_t in_stride, uint8_t* out, int64_t out_stride) {
  std::array<Bytes, 16> a, b;
  for (size_t i = 0; i < 16; ++i) std::memcpy(&a[i], in + static_cast<int64_t>(i) * in_stride, sizeof(Bytes));
  // Four perfect shuffles of (row, column) bits.
  for (int round = 0; round < 4; ++round) {
    for (size_t i = 0; i < 8; ++i) {
      b[2 * i] = __builtin_shuffle(a[i], a[i + 8], Bytes{0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
      b[2 * i + 1] = __builtin_shuffle(a[i], a[i + 8], Bytes{8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
    }
    a = b;
  }
  for (size_t i = 0; i < 16; ++i) std::memcpy(out + static_cast<int64_t>(i) * out_stride, &a[i], sizeof(Bytes));
}

/// The pass along x for kLanes rows at once. `block`: [width, 3, kLanes]; `out`: [num_windows, 3, kLanes].
FOR_BEST_CPU void resample_block(const uint8_t* block, const Windows::Window* windows, int64_t num_windows, const int32_t* coefficients,
                                 uint8_t* out) {
  for (int64_t w = 0; w < num_windows; ++w, out += 3 * kLanes) {
    Sums red, green, blue;
    const uint8_t* in = block + windows[w].first * 3 * kLanes;
    const int32_t* k = coefficients + windows[w].offset;
    for (int64_t i = 0; i < windows[w].size; ++i, in += 3 * kLanes) {
      red.add(in, k[i]);
      green.add(in + kLanes, k[i]);
      blue.add(in + 2 * kLanes, k[i]);
    }
    red.store(out);
    green.store(out + kLanes);
    blue.store(out + 2 * kLanes);
  }
}

/// One row of the pass along y: `size` values (a multiple of 2 * kLanes) of `num_rows` rows that lie `stride` bytes apart.
FOR_BEST_CPU void resample_rows(const uint8_t* rows, int64_t stride, int64_t num_rows, const int32_t* k, int64_t size, uint8_t* out) {
  for (int64_t x = 0; x < size; x += 2 * kLanes) {
    Sums first, second;
    const uint8_t* in = rows + x;
    for (int64_t i = 0; i < num_rows; ++i, in += stride) {
      first.add(in, k[i]);
      second.add(in + kLanes, k[i]);
    }
    first.store(out + x);
    second.store(out + x + kLanes);
  }
}

/// Rows of bytes, each padded for the loops above.
struct Plane {
  Plane(int64_t row_size, int64_t num_rows) : stride(padded(row_size)), bytes(static_cast<size_t>(stride * num_rows)) {}
  static int64_t padded(int64_t size) { return (size + 2 * kLanes - 1) / (2 * kLanes) * (2 * kLanes); }
  uint8_t* row(int64_t y) { return bytes.data() + y * stride; }
  int64_t stride;
  std::vector<uint8_t> bytes;
};

/// Rows [first_row, end_row) of `image`, columns resampled by `windows`.
Plane resample_horizontally(const RgbImage& image, const Windows& windows, int64_t first_row, int64_t end_row) {
  const int64_t out_size = static_cast<int64_t>(windows.windows.size()) * 3;
  const int64_t num_rows = end_row - first_row;
  // Only the columns that a window needs are copied, so windows count from windows.first.
  std::vector<Windows::Window> shifted = windows.windows;
  for (Windows::Window& window : shifted) window.first -= windows.first;
  const int64_t in_size = (windows.end - windows.first) * 3;

  Plane plane(out_size, (num_rows + kLanes - 1) / kLanes * kLanes);
  Plane rows(in_size, kLanes);
  std::vector<uint8_t> block(static_cast<size_t>(rows.stride * kLanes)), out_block(static_cast<size_t>(plane.stride * kLanes));
  for (int64_t y = 0; y < num_rows; y += kLanes) {
    for (int64_t lane = 0; lane < std::min<int64_t>(kLanes, num_rows - y); ++lane) {
      std::memcpy(rows.row(lane), image.pixels.data() + ((first_row + y + lane) * image.width + windows.first) * 3,
                  static_cast<size_t>(in_size));
    }
    for (int64_t x = 0; x < in_size; x += 16) transpose_tile(rows.row(0) + x, rows.stride, block.data() + x * kLanes, kLanes);
    resample_block(block.data(), shifted.data(), static_cast<int64_t>(shifted.size()), windows.coefficients.data(), out_block.data());
    for (int64_t x = 0; x < out_size; x += 16) transpose_tile(out_block.data() + x * kLanes, kLanes, plane.row(y) + x, plane.stride);
  }
  return plane;
}

}  // namespace

RgbImage resize_region(const RgbImage& image, Resample resample, int64_t width, int64_t height, const Region& region) {
  const bool changes_width = width != image.width, changes_height = height != image.height;
  // Pillow 13 does the pass along y first where the height shrinks more than twice as much as the width.
  if (changes_width && image.height > height && image.height - height > 2 * (image.width - width)) {
    const RgbImage low = resize_region(image, resample, image.width, height, {0, region.top, image.width, region.height});
    return resize_region(low, resample, width, region.height, {region.left, 0, region.width, region.height});
  }
  Windows columns, rows;
  if (changes_width) columns = make_windows(resample, image.width, width, region.left, region.width);
  if (changes_height) rows = make_windows(resample, image.height, height, region.top, region.height);
  const int64_t first_row = changes_height ? rows.first : region.top;
  const int64_t end_row = changes_height ? rows.end : region.top + region.height;

  const int64_t row_size = region.width * 3;
  Plane plane = changes_width ? resample_horizontally(image, columns, first_row, end_row) : Plane(row_size, end_row - first_row);
  if (!changes_width) {
    for (int64_t y = first_row; y < end_row; ++y) {
      std::memcpy(plane.row(y - first_row), image.pixels.data() + (y * image.width + region.left) * 3, static_cast<size_t>(row_size));
    }
  }

  RgbImage result{region.width, region.height, std::vector<uint8_t>(static_cast<size_t>(row_size * region.height)),
                  image.is_from_sixteen_bit_grey};
  std::vector<uint8_t> padded_row(static_cast<size_t>(plane.stride));
  for (int64_t y = 0; y < region.height; ++y) {
    const uint8_t* row = padded_row.data();
    if (changes_height) {
      const Windows::Window& window = rows.windows[static_cast<size_t>(y)];
      resample_rows(plane.row(window.first - first_row), plane.stride, window.size, rows.coefficients.data() + window.offset, plane.stride,
                    padded_row.data());
    } else {
      row = plane.row(y);
    }
    std::memcpy(result.pixels.data() + y * row_size, row, static_cast<size_t>(row_size));
  }
  return result;
}

RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height) {
  return resize_region(image, Resample::kBicubic, width, height, {0, 0, width, height});
}

}  // namespace multimeditron
