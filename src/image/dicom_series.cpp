#include "image/dicom_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "image/dicom_file.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using Vector = std::array<double, 3>;

struct Slice {
  fs::path file;
  std::string series;
  std::optional<Vector> normal;  ///< of its plane, towards right, anterior or superior, whichever is nearest
  double place = 0;              ///< along the normal
  double number = 0;
  bool has_place = false;
};

/// Of DICOM's axes (left, posterior, superior) the one that a direction runs along most.
size_t main_axis(const Vector& direction) {
  size_t main = 0;
  for (size_t i = 1; i < 3; ++i) {
    if (std::abs(direction[i]) > std::abs(direction[main])) main = i;
  }
  return main;
}

SlicePlane plane_of(const Vector& normal) {
  static constexpr std::array kPlanes = {SlicePlane::kSagittal, SlicePlane::kCoronal, SlicePlane::kAxial};
  return kPlanes[main_axis(normal)];
}

const char* name_of(SlicePlane plane) {
  return plane == SlicePlane::kAxial ? "axial" : plane == SlicePlane::kCoronal ? "coronal" : "sagittal";
}

std::optional<Slice> read_slice(const fs::path& file) {
  const MappedFile mapped(file);
  if (!is_dicom(mapped.bytes())) return std::nullopt;
  DicomFile header;
  try {
    header = read_dicom(mapped.bytes(), 0, {}, /*with_pixels=*/false);
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
  if (header.rows < 1 || header.columns < 1) return std::nullopt;
  Slice slice{.file = file, .series = header.series, .number = header.number.value_or(0)};
  if (header.orientation) {
    const auto& o = *header.orientation;
    Vector normal = {o[1] * o[5] - o[2] * o[4], o[2] * o[3] - o[0] * o[5], o[0] * o[4] - o[1] * o[3]};
    const double length = std::hypot(normal[0], normal[1], normal[2]);
    if (length > 0.5) {
      const size_t main = main_axis(normal);
      const bool runs_right_anterior_or_superior = main == 2 ? normal[2] > 0 : normal[main] < 0;
      for (double& value : normal) value /= runs_right_anterior_or_superior ? length : -length;
      slice.normal = normal;
    }
  }
  if (slice.normal && header.position) {
    slice.has_place = true;
    for (size_t i = 0; i < 3; ++i) slice.place += (*slice.normal)[i] * (*header.position)[i];
  }
  return slice;
}

/// The folder's ordinary files, by name.
std::vector<fs::directory_entry> files_of(const fs::path& folder, const std::optional<fs::path>& base) {
  std::vector<fs::directory_entry> files;
  std::error_code code;
  fs::directory_iterator at(folder, code);
  for (; !code && at != fs::directory_iterator(); at.increment(code)) {
    std::error_code gone;
    if (!at->is_regular_file(gone) || at->path().filename().string().starts_with(".")) continue;
    if (base && at->is_symlink(gone)) path_below(*base, fs::absolute(at->path()).string());
    files.push_back(*at);
  }
  if (code) throw_file_error("open", folder, code.value());
  std::sort(files.begin(), files.end());
  return files;
}

fs::path choose_slice(const fs::path& folder, const VolumeOptions& view, const std::vector<fs::directory_entry>& files) {
  std::vector<Slice> slices;
  for (const fs::directory_entry& file : files) {
    if (auto slice = read_slice(file.path())) slices.push_back(std::move(*slice));
  }
  if (slices.empty()) {
    throw UserError("a folder without DICOM slices",
                    {.where = folder.string(), .fix = "name a folder whose files are the slices of one series"});
  }
  std::set<std::string> series;
  for (const Slice& slice : slices) series.insert(slice.series);
  if (series.size() > 1) {
    throw UserError("a folder with several DICOM series", {.where = folder.string(),
                                                           .found = fmt::format("{} series in {} files", series.size(), slices.size()),
                                                           .fix = "give each series a folder of its own"});
  }
  constexpr double kParallel = 0.999;
  const Slice& first = slices.front();
  const bool is_stack = std::all_of(slices.begin(), slices.end(), [&](const Slice& slice) {
    if (slice.normal.has_value() != first.normal.has_value()) return false;
    double cosine = 0;
    for (size_t i = 0; slice.normal && i < 3; ++i) cosine += (*slice.normal)[i] * (*first.normal)[i];
    return !slice.normal || cosine > kParallel;
  });
  if (!is_stack) {
    throw UserError("a folder whose DICOM files are no stack of slices",
                    {.where = folder.string(), .found = "planes of several directions", .fix = "leave out the localizers"});
  }
  if (view.plane && first.normal && *view.plane != plane_of(*first.normal)) {
    const char* taken = name_of(plane_of(*first.normal));
    throw UserError("DICOM slices are shown in the plane that they were taken in",
                    {.where = folder.string(),
                     .found = fmt::format("{} slices; {} is asked for", taken, name_of(*view.plane)),
                     .fix = fmt::format("set `axis: {}`, or convert the series to NIfTI", taken)});
  }
  const bool have_places = std::all_of(slices.begin(), slices.end(), [](const Slice& slice) { return slice.has_place; });
  std::sort(slices.begin(), slices.end(), [&](const Slice& a, const Slice& b) {
    if (have_places && a.place != b.place) return a.place < b.place;
    return a.number != b.number ? a.number < b.number : a.file < b.file;
  });
  const auto count = static_cast<int64_t>(slices.size());
  const int64_t index = view.slice.value_or(count / 2);
  if (index >= count) {
    throw UserError("a volume has no such slice", {.where = folder.string(),
                                                   .found = fmt::format("slice {} of {}, counted from 0", index, count),
                                                   .fix = fmt::format("set `slice` to at most {}", count - 1)});
  }
  return slices[static_cast<size_t>(index)].file;
}

/// What choose_slice chose, so that an epoch does not read all headers of a series for each sample.
class FoundSlices {
 public:
  std::optional<fs::path> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto entry = slices_.find(key);
    return entry == slices_.end() ? std::nullopt : std::optional(entry->second);
  }
  void add(const std::string& key, const fs::path& slice) {
    constexpr size_t kMost = 1 << 16;
    const std::lock_guard lock(mutex_);
    if (slices_.size() >= kMost) slices_.clear();
    slices_[key] = slice;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, fs::path> slices_;
};

}  // namespace

fs::path find_slice(const fs::path& folder, const VolumeOptions& view, const std::optional<fs::path>& base) {
  static FoundSlices found;
  const std::vector<fs::directory_entry> files = files_of(folder, base);
  std::string listing = fmt::format("{}\n{}\n{}\n", folder.string(), view.plane ? name_of(*view.plane) : "", view.slice.value_or(-1));
  for (const fs::directory_entry& file : files) {
    std::error_code gone;
    listing += fmt::format("{}\n{}\n{}\n", file.path().filename().string(), file.file_size(gone),
                           file.last_write_time(gone).time_since_epoch().count());
  }
  const std::string key = sha256(listing);
  if (const auto known = found.find(key)) return *known;
  fs::path slice = choose_slice(folder, view, files);
  found.add(key, slice);
  return slice;
}

}  // namespace multimeditron
