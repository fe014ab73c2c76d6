#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "cli/subcommands.h"

namespace multimeditron {

std::vector<const char*> scan_option_names() {
  return {"--window", "--frame", "--axis", "--slice", "--volume"};
}

void add_scan_options(CLI::App& app, ScanView& scan, const std::string& group) {
  app.add_option("--window", scan.window, "Of a scan: lung, bone, brain ..., centre,width, minmax, percentile (default file: as it says)")
      ->type_name("NAME|C,W")
      ->group(group);
  app.add_option("--axis", scan.axis, "Of a volume: plane of the slice (default axial)")->type_name("axial|coronal|sagittal")->group(group);
  app.add_option("--slice", scan.slice, "Of a volume: slice, from feet, back or left (default middle)")
      ->type_name("N|middle")
      ->group(group);
  app.add_option("--frame", scan.frame, "Of a DICOM file with several frames (default 0)")->type_name("N")->group(group);
  app.add_option("--volume", scan.volume, "Of a NIfTI file with several volumes (default 0)")->type_name("N")->group(group);
}

void check_scan_options(const ScanView& scan) {
  if (!find_window(scan.window)) {
    if (scan.window.find(',') != std::string::npos)
      throw UserError("`--window` is no window",
                      {.found = fmt::format("`{}`", scan.window), .fix = "write centre,width, the width above 0, for instance 40,400"});
    require_choice("--window", scan.window, window_names());
  }
  if (!scan.axis.empty()) require_choice("--axis", scan.axis, std::vector<std::string>{"axial", "coronal", "sagittal"});
  require_range(is_slice(scan.slice), "--slice", scan.slice, "`middle` or a number of at least 0");
  require_range(scan.frame >= 0, "--frame", fmt::format("{}", scan.frame), "0 or more");
  require_range(scan.volume >= 0, "--volume", fmt::format("{}", scan.volume), "0 or more");
}

}  // namespace multimeditron
