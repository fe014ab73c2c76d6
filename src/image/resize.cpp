// Pillow's 8-bit resampling: each output value is a sum over a window of input values with fixed-point coefficients, rounded to 8 bit
// after each of the two passes. The window and the coefficients follow Pillow to the bit; the loops are laid out for vector units.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/error.h"
#include "image/image.h"
#include "image/weigh.h"

// Compiled twice where the compiler can choose at run time.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOR_BEST_CPU __attribute__((target_clones("avx2", "default")))
#else
#define FOR_BEST_CPU
#endif

namespace multimeditron {
namespace {

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

/// For each output position of one axis: the input positions that it is made of, in groups of kTaps, and their weights.
struct Windows {
  struct Window {
    int64_t first_group = 0;
    size_t first_weight = 0, num_groups = 0;  ///< of `groups`
  };
  std::vector<Window> windows;
  std::vector<WeightGroup> groups;
  int64_t first = 0, end = 0;  ///< input positions that any window needs; group 0 begins at the first
};

/// Windows of output positions [out_first, out_first + out_count) of an axis resized from in_size to out_size. Throws UserError for an
/// axis so long that weights and rows would take gigabytes; Pillow, too, refuses the longest ones.
Windows make_windows(Resample resample, int64_t in_size, int64_t out_size, int64_t out_first, int64_t out_count) {
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double filter_scale = std::max(scale, 1.0);
  const double support = (resample == Resample::kLanczos ? 3.0 : resample == Resample::kBilinear ? 1.0 : 2.0) * filter_scale;
  const double inverse_filter_scale = 1.0 / filter_scale;
  constexpr double kMostWeights = 1 << 24;
  if (2 * support * static_cast<double>(out_count) > kMostWeights) {
    throw UserError("too large an image", {.found = fmt::format("{} pixels in a line, which {} are to be made of", in_size, out_size),
                                           .fix = "cut it into pieces, or leave it out"});
  }
  const auto center_of = [&](int64_t out) { return (static_cast<double>(out) + 0.5) * scale; };
  const auto first_of = [&](int64_t out) { return std::max<int64_t>(static_cast<int64_t>(center_of(out) - support + 0.5), 0); };
  const auto end_of = [&](int64_t out) { return std::min(static_cast<int64_t>(center_of(out) + support + 0.5), in_size); };
  Windows result;
  result.first = first_of(out_first);
  result.end = end_of(out_first + out_count - 1);
  result.windows.reserve(static_cast<size_t>(out_count));
  result.groups.reserve(static_cast<size_t>(out_count) * (static_cast<size_t>(2 * support) / kTaps + 2));
  std::vector<double> weights;
  for (int64_t out = out_first; out < out_first + out_count; ++out) {
    const int64_t first = first_of(out), end = end_of(out);
    weights.clear();
    double sum = 0.0;
    for (int64_t i = first; i < end; ++i) {
      weights.push_back(filter_value(resample, (static_cast<double>(i) - center_of(out) + 0.5) * inverse_filter_scale));
      sum += weights.back();
    }
    // Whole groups, with weights of 0 in front and behind.
    const int64_t first_group = (first - result.first) / kTaps;
    const size_t first_weight = result.groups.size();
    for (int64_t i = result.first + first_group * kTaps; i < end; i += kTaps) {
      std::array<int32_t, kTaps> group{};
      for (int64_t t = std::max<int64_t>(0, first - i); t < std::min<int64_t>(kTaps, end - i); ++t) {
        double weight = weights[static_cast<size_t>(i + t - first)];
        if (sum != 0.0) weight /= sum;
        // Half away from zero; the cast truncates.
        group[static_cast<size_t>(t)] = static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kWeightBits));
      }
      result.groups.emplace_back(group);
    }
    result.windows.push_back({first_group, first_weight, result.groups.size() - first_weight});
  }
  return result;
}

/// Every position itself: what an axis that keeps its size needs.
Windows identity(int64_t first, int64_t count) {
  Windows result{.windows = {}, .groups = {}, .first = first, .end = first + count};
  for (size_t t = 0; t < kTaps; ++t) {
    std::array<int32_t, kTaps> group{};
    group[t] = 1 << kWeightBits;
    result.groups.emplace_back(group);
  }
  for (int64_t i = 0; i < count; ++i) result.windows.push_back({i / kTaps, static_cast<size_t>(i % kTaps), 1});
  return result;
}

using Bytes [[gnu::vector_size(16)]] = uint8_t;
using Words [[gnu::vector_size(16)]] = uint32_t;

/// [4 rows][4 words] -> [4 columns][4 words].
[[gnu::always_inline]] inline void transpose(Words (&rows)[4]) {
  const Words a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5), b = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const Words c = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7), d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  rows[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  rows[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  rows[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  rows[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/// `rows`: kLanes rows of RGB, of which 16 bytes are read for each group of four pixels, so 4 bytes too many. `block`: [groups, 3, kLanes,
/// kTaps].
FOR_BEST_CPU void gather(const uint8_t* const* rows, int64_t num_groups, uint8_t* block) {
  for (int64_t group = 0; group < num_groups; ++group, block += kBlocks * kLanes * kTaps) {
    for (int lane = 0; lane < kLanes; lane += 4) {
      Words words[4];
      for (int i = 0; i < 4; ++i) {
        Bytes rgb;
        std::memcpy(&rgb, rows[lane + i] + group * 12, sizeof rgb);
        const Bytes planes = __builtin_shufflevector(rgb, rgb, 0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, 12, 13, 14, 15);
        std::memcpy(&words[i], &planes, sizeof planes);
      }
      transpose(words);
      for (int c = 0; c < 3; ++c) std::memcpy(block + (c * kLanes + lane) * kTaps, &words[c], sizeof words[c]);
    }
  }
}

/// Bytes that begin with a cache line, since most is read by whole lines.
class Lines {
 public:
  explicit Lines(int64_t size) : lines_(static_cast<size_t>((size + 63) / 64)) {}
  uint8_t* data() { return lines_.data()->bytes; }

 private:
  struct alignas(64) Line {
    uint8_t bytes[64];
  };
  std::vector<Line> lines_;
};

/// Rows in groups of kTaps, the bytes of a column side by side: [groups, stride / kTaps, kTaps].
struct RowGroups {
  RowGroups(int64_t row_size, int64_t num_rows)
      : stride((row_size + kBlocks * kLanes - 1) / (kBlocks * kLanes) * (kBlocks * kLanes) * kTaps),
        bytes(stride * ((num_rows + kLanes - 1) / kLanes * (kLanes / kTaps))) {}
  uint8_t* group(int64_t number) { return bytes.data() + number * stride; }
  int64_t stride;
  Lines bytes;
};

/// `block`: [columns (a multiple of 4), kLanes]; column by column four words, which go to four groups of rows.
void scatter(const uint8_t* block, int64_t num_columns, RowGroups& rows, int64_t first_group) {
  uint8_t* const out = rows.group(first_group);
  for (int64_t column = 0; column < num_columns; column += 4, block += 4 * kLanes) {
    Words words[4];
    std::memcpy(words, block, sizeof words);
    transpose(words);
    for (int i = 0; i < 4; ++i) std::memcpy(out + i * rows.stride + column * kTaps, &words[i], sizeof words[i]);
  }
}

/// Rows [first_row, end_row) of `image`, columns resampled by `windows`.
RowGroups resample_columns(const RgbImage& image, const Windows& windows, int64_t first_row, int64_t end_row, Weigh weigh) {
  const int64_t num_windows = static_cast<int64_t>(windows.windows.size()), num_columns = (num_windows * 3 + 3) / 4 * 4;
  const int64_t num_groups = (windows.end - windows.first + kTaps - 1) / kTaps, read_size = num_groups * 12 + 4;
  RowGroups result(num_columns, end_row - first_row);
  Lines block(num_groups * kBlocks * kLanes * kTaps), out((num_columns + kBlocks) * kLanes);
  std::vector<uint8_t> copies(static_cast<size_t>(kLanes * read_size));  // of rows that end too near the end of the image
  const uint8_t* const end = image.pixels.data() + image.pixels.size();
  for (int64_t y = first_row; y < end_row; y += kLanes) {
    const uint8_t* rows[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const uint8_t*& row = rows[lane];
      row = image.pixels.data() + (std::min(y + lane, end_row - 1) * image.width + windows.first) * 3;
      if (end - row >= read_size) continue;
      uint8_t* const copy = copies.data() + lane * read_size;
      std::memcpy(copy, row, static_cast<size_t>(end - row));
      row = copy;
    }
    gather(rows, num_groups, block.data());
    uint8_t* to = out.data();
    for (const Windows::Window& window : windows.windows) {
      weigh(block.data() + window.first_group * kBlocks * kLanes * kTaps, kBlocks * kLanes * kTaps,
            std::span(windows.groups).subspan(window.first_weight, window.num_groups), to);
      to += kBlocks * kLanes;
    }
    scatter(out.data(), num_columns, result, (y - first_row) / kTaps);
  }
  return result;
}

}  // namespace

RgbImage resize_region(const RgbImage& image, Resample resample, int64_t width, int64_t height, const Region& region) {
  const bool changes_width = width != image.width, changes_height = height != image.height;
  // Pillow 13 does the pass along y first where the height shrinks more than twice as much as the width.
  if (changes_width && image.height > height && image.height - height > 2 * (image.width - width)) {
    const RgbImage low = resize_region(image, resample, image.width, height, {0, region.top, image.width, region.height});
    return resize_region(low, resample, width, region.height, {region.left, 0, region.width, region.height});
  }
  const Windows columns =
      changes_width ? make_windows(resample, image.width, width, region.left, region.width) : identity(region.left, region.width);
  const Windows rows =
      changes_height ? make_windows(resample, image.height, height, region.top, region.height) : identity(region.top, region.height);
  const Weigh weigh = weigh_variants().back().weigh;
  RowGroups plane = resample_columns(image, columns, rows.first, rows.end, weigh);

  const int64_t row_size = region.width * 3;
  RgbImage result{region.width, region.height, std::vector<uint8_t>(static_cast<size_t>(row_size * region.height)),
                  image.is_from_sixteen_bit_grey};
  // Rows come in whole blocks; where one is longer than a row of the image, it makes a detour.
  const int64_t padded_size = plane.stride / kTaps;
  std::vector<uint8_t> padded_row(static_cast<size_t>(padded_size == row_size ? 0 : padded_size));
  for (int64_t y = 0; y < region.height; ++y) {
    const Windows::Window& window = rows.windows[static_cast<size_t>(y)];
    const auto groups = std::span(rows.groups).subspan(window.first_weight, window.num_groups);
    const uint8_t* in = plane.group(window.first_group);
    uint8_t* const out = result.pixels.data() + y * row_size;
    uint8_t* const row = padded_row.empty() ? out : padded_row.data();
    for (int64_t x = 0; x < padded_size; x += kBlocks * kLanes) weigh(in + x * kTaps, plane.stride, groups, row + x);
    if (row != out) std::memcpy(out, row, static_cast<size_t>(row_size));
  }
  return result;
}

RgbImage resize_bicubic(const RgbImage& image, int64_t width, int64_t height) {
  return resize_region(image, Resample::kBicubic, width, height, {0, 0, width, height});
}

}  // namespace multimeditron
