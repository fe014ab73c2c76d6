#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace multimeditron {

/// How the scans (DICOM, NIfTI) of a loader are shown, as a recipe or the command line says it.
struct ScanView {
  std::string window = "file";   ///< file, minmax, percentile, a name of scan_windows(), or "centre,width"
  int64_t frame = 0;             ///< of a DICOM file with several
  std::string axis;              ///< axial, coronal, sagittal; empty: axial, or as the slices of a folder were taken
  std::string slice = "middle";  ///< or its number
  int64_t volume = 0;            ///< of a NIfTI file with several
};

/// A window that radiologists know by name, in Hounsfield units.
struct ScanWindow {
  const char* name;
  double centre, width;
};
std::span<const ScanWindow> scan_windows();

/// What `window` may be besides two numbers: file, minmax, percentile and the names.
std::span<const std::string> window_names();

/// Centre and width of a name or of "centre,width" (the width above 0); nothing for anything else.
std::optional<ScanWindow> find_window(const std::string& window);

/// Is `slice` "middle" or a number of at least 0?
bool is_slice(const std::string& slice);

}  // namespace multimeditron
