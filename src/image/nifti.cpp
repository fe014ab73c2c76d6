#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "image/codec.h"
#include "image/grey.h"
#include "image/inflate.h"

namespace multimeditron {
namespace {

const char* const kKind = "NIfTI";
using Matrix = std::array<std::array<double, 3>, 3>;  // [row][column]

/// Numbers in a header of either byte order.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, bool is_big_endian) : bytes_(bytes), is_big_endian_(is_big_endian) {}
  template <typename T>
  T get(size_t at) const {
    std::array<std::byte, sizeof(T)> value;
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at), sizeof(T), value.begin());
    if (is_big_endian_ != (std::endian::native == std::endian::big)) std::reverse(value.begin(), value.end());
    return std::bit_cast<T>(value);
  }
  bool is_big_endian() const { return is_big_endian_; }

 private:
  std::span<const std::byte> bytes_;
  bool is_big_endian_;
};

constexpr size_t kHeader1 = 348, kHeader2 = 540;

/// What a header says of the voxels and how they lie in the patient.
struct Header {
  std::array<int64_t, 3> size{1, 1, 1};
  int64_t volumes = 1;
  int datatype = 0;
  int64_t offset = 0;
  double slope = 1, intercept = 0, display_low = 0, display_high = 0;
  bool is_big_endian = false;
  Matrix affine{};  ///< voxel steps in millimetres towards right, anterior, superior
};

bool has_at(std::span<const std::byte> bytes, size_t at, const char* word, size_t length) {
  return bytes.size() >= at + length && std::memcmp(bytes.data() + at, word, length) == 0;
}

/// 1 or 2 for files that hold their voxels, negative for headers whose voxels lie in another file, 0 for anything else.
int version_of(std::span<const std::byte> bytes) {
  if (has_at(bytes, 344, "n+1\0", 4)) return 1;
  if (has_at(bytes, 344, "ni1\0", 4)) return -1;
  if (has_at(bytes, 4, "n+2\0\r\n\x1a\n", 8)) return 2;
  if (has_at(bytes, 4, "ni2\0\r\n\x1a\n", 8)) return -2;
  return 0;
}

/// Voxel steps from a quaternion's last three parts (the NIfTI standard's "method 2").
Matrix from_quaternion(double b, double c, double d, const std::array<double, 4>& pixdim) {
  const double a = std::sqrt(std::max(0.0, 1 - (b * b + c * c + d * d)));
  const double norm = a * a + b * b + c * c + d * d, s = norm < 1e-12 ? 0 : 2 / norm;
  Matrix m = {{{1 - s * (c * c + d * d), s * (b * c - a * d), s * (b * d + a * c)},
               {s * (b * c + a * d), 1 - s * (b * b + d * d), s * (c * d - a * b)},
               {s * (b * d - a * c), s * (c * d + a * b), 1 - s * (b * b + c * c)}}};
  for (auto& row : m) {
    for (size_t i = 0; i < 3; ++i) row[i] *= pixdim[i + 1];
    if (pixdim[0] == -1) row[2] = -row[2];
  }
  return m;
}

/// The two versions differ in places and widths alone.
template <typename Whole, typename Real, typename Code>
Header read_header(const Fields& fields, size_t dim, size_t datatype, size_t pixdim_at, size_t offset, size_t scale, size_t display,
                   size_t codes, size_t quaternion, size_t rows) {
  Header header;
  header.is_big_endian = fields.is_big_endian();
  const auto dims = static_cast<int64_t>(fields.get<Whole>(dim));
  if (dims < 1 || dims > 7) throw corrupt_image(kKind, fmt::format("{} dimensions in its header", dims));
  constexpr int64_t kMost = int64_t{1} << 31;
  for (int64_t i = 1; i <= dims; ++i) {
    const auto size = static_cast<int64_t>(fields.get<Whole>(dim + static_cast<size_t>(i) * sizeof(Whole)));
    if (size < 1 || size > kMost) throw corrupt_image(kKind, fmt::format("dimension {} of its header is {}", i, size));
    int64_t& product = i <= 3 ? header.size[static_cast<size_t>(i - 1)] : header.volumes;
    product *= size;
    if (product > kMost) throw corrupt_image(kKind, "more volumes in its header than can be");
  }
  header.datatype = fields.get<int16_t>(datatype);
  const auto real = [&](size_t at) { return static_cast<double>(fields.get<Real>(at)); };
  if constexpr (std::is_same_v<Whole, int16_t>) {
    const double place = real(offset);
    header.offset = place >= 0 && place < 1e15 ? static_cast<int64_t>(place) : -1;
  } else {
    header.offset = fields.get<int64_t>(offset);
  }
  const double slope = real(scale), intercept = real(scale + sizeof(Real));
  if (slope != 0 && std::isfinite(slope)) {
    if (!std::isfinite(intercept)) throw corrupt_image(kKind, "a slope without an intercept in its header");
    header.slope = slope, header.intercept = intercept;
  }
  header.display_high = real(display), header.display_low = real(display + sizeof(Real));

  std::array<double, 4> pixdim;
  for (size_t i = 0; i < 4; ++i) pixdim[i] = real(pixdim_at + i * sizeof(Real));
  for (size_t i = 1; i < 4; ++i) pixdim[i] = pixdim[i] == 0 ? 1 : std::abs(pixdim[i]);
  if (fields.get<Code>(codes + sizeof(Code)) != 0) {
    for (size_t r = 0; r < 3; ++r) {
      for (size_t c = 0; c < 3; ++c) header.affine[r][c] = real(rows + (4 * r + c) * sizeof(Real));
    }
  } else if (fields.get<Code>(codes) != 0) {
    header.affine = from_quaternion(real(quaternion), real(quaternion + sizeof(Real)), real(quaternion + 2 * sizeof(Real)), pixdim);
  } else {
    // Without either the first axis runs to the left, as in Analyze's files.
    header.affine = {{{-pixdim[1], 0, 0}, {0, pixdim[2], 0}, {0, 0, pixdim[3]}}};
  }
  for (const auto& row : header.affine) {
    if (!std::all_of(row.begin(), row.end(), [](double value) { return std::isfinite(value); }))
      throw corrupt_image(kKind, "an orientation in its header that is no number");
  }
  return header;
}

Header parse(std::span<const std::byte> bytes) {
  const int version = version_of(bytes);
  if (version < 0) {
    throw unsupported_image("a NIfTI header whose voxels lie in a file of their own (.hdr and .img)",
                            "join them, for instance by nibabel: nibabel.save(nibabel.load('x.hdr'), 'x.nii.gz')");
  }
  const size_t size = version == 2 ? kHeader2 : kHeader1;
  if (bytes.size() < size) throw truncated_image(kKind, "end of data within its header");
  const Fields little(bytes, false), big(bytes, true);
  const bool is_little = little.get<int32_t>(0) == static_cast<int32_t>(size), is_big = big.get<int32_t>(0) == static_cast<int32_t>(size);
  if (!is_little && !is_big) throw corrupt_image(kKind, "a header of another length than its kind has");
  const Fields& fields = is_little ? little : big;
  Header header = version == 2 ? read_header<int64_t, double, int32_t>(fields, 16, 12, 104, 168, 176, 192, 344, 352, 400)
                               : read_header<int16_t, float, int16_t>(fields, 40, 70, 76, 108, 112, 124, 252, 256, 280);
  const auto least = static_cast<int64_t>(size) + 4;
  if (header.offset == 0) header.offset = least;
  if (header.offset < least || header.offset > int64_t{1} << 40) throw corrupt_image(kKind, "voxels that begin within its header");
  return header;
}

int64_t bytes_of(int datatype) {
  switch (datatype) {
    case 2:
    case 256:
      return 1;  // 8-bit whole numbers
    case 4:
    case 512:
      return 2;  // 16
    case 8:
    case 768:
    case 16:
      return 4;  // 32, float
    case 64:
    case 1024:
    case 1280:
      return 8;  // double, 64
    case 128:
      return 3;  // RGB
    case 2304:
      return 4;  // RGBA
    default:
      throw unsupported_image(fmt::format("a NIfTI volume of the data type {} (complex numbers, single bits or 128-bit floats)", datatype),
                              "convert it to float32");
  }
}

double value_at(const Fields& row, int datatype, size_t at) {
  switch (datatype) {
    case 2:
      return row.get<uint8_t>(at);
    case 256:
      return row.get<int8_t>(at);
    case 4:
      return row.get<int16_t>(at);
    case 512:
      return row.get<uint16_t>(at);
    case 8:
      return row.get<int32_t>(at);
    case 768:
      return row.get<uint32_t>(at);
    case 16:
      return static_cast<double>(row.get<float>(at));
    case 64:
      return row.get<double>(at);
    case 1024:
      return static_cast<double>(row.get<int64_t>(at));
    default:
      return static_cast<double>(row.get<uint64_t>(at));
  }
}

/// The rotation nearest to `m` with columns of length 1 (its polar factor), by one-sided Jacobi rotations; directions without extent are 0.
Matrix nearest_rotation(Matrix m) {
  for (size_t c = 0; c < 3; ++c) {
    const double length = std::hypot(m[0][c], m[1][c], m[2][c]);
    for (size_t r = 0; r < 3; ++r) m[r][c] /= length == 0 ? 1 : length;
  }
  Matrix v = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  for (int sweep = 0; sweep < 30; ++sweep) {
    for (const auto& [p, q] : {std::pair<size_t, size_t>{0, 1}, {0, 2}, {1, 2}}) {
      double pp = 0, qq = 0, pq = 0;
      for (size_t r = 0; r < 3; ++r) pp += m[r][p] * m[r][p], qq += m[r][q] * m[r][q], pq += m[r][p] * m[r][q];
      if (std::abs(pq) <= 1e-16 * std::sqrt(pp * qq)) continue;
      const double zeta = (qq - pp) / (2 * pq);
      const double t = std::copysign(1, zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta)), c = 1 / std::sqrt(1 + t * t), s = c * t;
      for (Matrix* each : {&m, &v}) {
        for (auto& row : *each) {
          const double old = row[p];
          row[p] = c * old - s * row[q];
          row[q] = s * old + c * row[q];
        }
      }
    }
  }
  std::array<double, 3> singular;
  for (size_t c = 0; c < 3; ++c) singular[c] = std::hypot(m[0][c], m[1][c], m[2][c]);
  const double least = *std::max_element(singular.begin(), singular.end()) * 3 * std::numeric_limits<double>::epsilon();
  Matrix rotation{};
  for (size_t i = 0; i < 3; ++i) {
    if (singular[i] <= least) continue;
    for (size_t r = 0; r < 3; ++r) {
      for (size_t c = 0; c < 3; ++c) rotation[r][c] += m[r][i] / singular[i] * v[c][i];
    }
  }
  return rotation;
}

/// Which axis of the file runs nearest to right, anterior and superior, and whether the other way.
struct Orientation {
  std::array<size_t, 3> axis{};
  std::array<bool, 3> is_flipped{};
};

/// As nibabel's as_closest_canonical decides: the file's axes in the order of how plainly they run along one of the patient's, each taking
/// the direction that it runs along most of those that are left.
Orientation orientation_of(const Matrix& affine) {
  Matrix rotation = nearest_rotation(affine);
  std::array<size_t, 3> order = {0, 1, 2};
  std::array<double, 3> plainness{};
  for (size_t c = 0; c < 3; ++c) {
    for (size_t r = 0; r < 3; ++r) plainness[c] = std::max(plainness[c], rotation[r][c] * rotation[r][c]);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return plainness[a] > plainness[b]; });
  Orientation result;
  std::array<bool, 3> is_taken{};
  for (const size_t c : order) {
    // A direction without extent takes what is left.
    size_t best = 3;
    for (size_t r = 0; r < 3; ++r) {
      if (!is_taken[r] && (best == 3 || std::abs(rotation[r][c]) > std::abs(rotation[best][c]))) best = r;
    }
    is_taken[best] = true;
    result.axis[best] = c;
    result.is_flipped[best] = rotation[best][c] < 0;
  }
  return result;
}

/// Bytes by their place, asked for in ascending order.
class VoxelSource {
 public:
  VoxelSource(std::span<const std::byte> bytes, bool is_gzip) : bytes_(bytes) {
    if (is_gzip) inflater_.emplace(bytes, Inflater::Format::kGzip, kKind);
  }
  void read(int64_t at, std::span<std::byte> out) {
    if (!inflater_) {
      if (at + static_cast<int64_t>(out.size()) > static_cast<int64_t>(bytes_.size())) throw ends_early();
      std::memcpy(out.data(), bytes_.data() + at, out.size());
      return;
    }
    if (!inflater_->skip(at - at_) || inflater_->read(out) < out.size()) throw ends_early();
    at_ = at + static_cast<int64_t>(out.size());
  }

 private:
  static UserError ends_early() { return truncated_image(kKind, "end of data before the last voxel of the slice"); }

  std::span<const std::byte> bytes_;
  std::optional<Inflater> inflater_;
  int64_t at_ = 0;
};

bool is_gzip(std::span<const std::byte> bytes) {
  return has_at(bytes, 0, "\x1f\x8b", 2);
}

/// The first bytes of a file, unfolded where it is gzipped; fewer where it is short or damaged.
std::vector<std::byte> first_bytes(std::span<const std::byte> bytes) {
  std::vector<std::byte> first(kHeader2);
  size_t size = std::min(bytes.size(), first.size());
  if (is_gzip(bytes)) {
    try {
      size = Inflater(bytes, Inflater::Format::kGzip, kKind).read(first);
    } catch (const UserError&) {
      size = first.size();  // what was unfolded before stands; zeros behind it do no harm
    }
  } else {
    std::copy_n(bytes.begin(), size, first.begin());
  }
  first.resize(size);
  return first;
}

/// A number of slices, volumes ... and the one that is asked for.
int64_t checked(const char* what, const char* key, int64_t index, int64_t count) {
  if (index < count) return index;
  throw UserError(fmt::format("a volume has no such {}", what), {.found = fmt::format("{} {} of {}, counted from 0", what, index, count),
                                                                 .fix = fmt::format("set `{}` to at most {}", key, count - 1)});
}

}  // namespace

bool is_nifti(std::span<const std::byte> bytes) {
  return version_of(first_bytes(bytes)) != 0;
}

RgbImage decode_nifti(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const Header header = parse(first_bytes(bytes));
  const int64_t width_bytes = bytes_of(header.datatype);
  const auto& size = header.size;
  check_image_size(size[0], size[1], options);
  check_image_size(size[0], size[2], options);
  check_image_size(size[1], size[2], options);
  // At most 2^31 a side and max_pixels a slice, so a volume's voxels fit; all volumes may not.
  const double claimed = static_cast<double>(size[0] * size[1]) * static_cast<double>(size[2]) * static_cast<double>(header.volumes) *
                             static_cast<double>(width_bytes) +
                         static_cast<double>(header.offset);
  if (claimed / (is_gzip(bytes) ? kMostFolded : 1) > static_cast<double>(bytes.size())) {
    throw truncated_image(
        kKind, fmt::format("{} bytes for {} x {} x {} voxels and {} volume(s)", bytes.size(), size[0], size[1], size[2], header.volumes));
  }

  const VolumeOptions& view = options.volume;
  const Orientation orientation = orientation_of(header.affine);
  // Directions right, anterior, superior: which one is looked along, and which run against the picture's columns and rows.
  const SlicePlane plane = view.plane.value_or(SlicePlane::kAxial);
  const size_t along = plane == SlicePlane::kAxial ? 2 : plane == SlicePlane::kCoronal ? 1 : 0;
  const size_t across = plane == SlicePlane::kSagittal ? 1 : 0, down = plane == SlicePlane::kAxial ? 1 : 2;
  const int64_t volume = checked("volume", "volume", view.volume, header.volumes);
  const int64_t num_slices = size[orientation.axis[along]];
  int64_t slice = checked("slice", "slice", view.slice.value_or(num_slices / 2), num_slices);
  if (orientation.is_flipped[along]) slice = num_slices - 1 - slice;

  RgbImage image{size[orientation.axis[across]], size[orientation.axis[down]], {}};
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  const bool is_colour = header.datatype == 128 || header.datatype == 2304;
  std::vector<double> values(is_colour ? 0 : static_cast<size_t>(image.width * image.height));

  // Rows of the file's first axis, those that the slice touches, in the file's order.
  VoxelSource source(bytes, is_gzip(bytes));
  std::vector<std::byte> row(static_cast<size_t>(size[0] * width_bytes));
  const Fields fields(row, header.is_big_endian);
  std::array<int64_t, 3> begin{}, end = size;
  begin[orientation.axis[along]] = slice, end[orientation.axis[along]] = slice + 1;
  std::array<int64_t, 3> at{};
  for (at[2] = begin[2]; at[2] < end[2]; ++at[2]) {
    for (at[1] = begin[1]; at[1] < end[1]; ++at[1]) {
      source.read(header.offset + ((volume * size[2] + at[2]) * size[1] + at[1]) * size[0] * width_bytes, row);
      for (at[0] = begin[0]; at[0] < end[0]; ++at[0]) {
        // A picture's columns run to the left (or backwards), its rows down (or backwards): against the three directions.
        const int64_t x = at[orientation.axis[across]], y = at[orientation.axis[down]];
        const int64_t column = orientation.is_flipped[across] ? x : image.width - 1 - x;
        const int64_t line = orientation.is_flipped[down] ? y : image.height - 1 - y;
        const auto pixel = static_cast<size_t>(line * image.width + column);
        const auto voxel = static_cast<size_t>(at[0] * width_bytes);
        if (is_colour) {
          std::memcpy(image.pixels.data() + 3 * pixel, row.data() + voxel, 3);
        } else {
          values[pixel] = value_at(fields, header.datatype, voxel) * header.slope + header.intercept;
        }
      }
    }
  }
  if (is_colour) return image;
  const bool has_display =
      header.display_low < header.display_high && std::isfinite(header.display_low) && std::isfinite(header.display_high);
  const bool asks_file = !view.window && view.shading == Shading::kFile;
  const GreyRule rule = has_display && asks_file ? GreyRule::range(header.display_low, header.display_high) : grey_rule(view, values);
  for (size_t i = 0; i < values.size(); ++i) std::memset(image.pixels.data() + 3 * i, rule(values[i]), 3);
  return image;
}

}  // namespace multimeditron
