#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/log.h"
#include "data/dataset.h"

namespace {

/// A file in memory, where the system has such, that readers can map.
std::filesystem::path scratch_file() {
  const std::filesystem::path memory = "/dev/shm";
  const std::filesystem::path folder = std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
  return folder / ("multimeditron-rows-fuzz-" + std::to_string(::getpid()));
}

}  // namespace

/// Arrow files, streams and Parquet, told apart by their first bytes; every row that the file claims, up to a limit.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path file = [] {
    multimeditron::set_log_level(multimeditron::LogLevel::kQuiet);
    return scratch_file();
  }();
  if (size < 6) return 0;
  std::ofstream(file, std::ios::binary | std::ios::trunc).write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  try {
    const auto dataset = multimeditron::open_dataset(file);
    for (int64_t i = 0; i < std::min<int64_t>(dataset->size(), 20); ++i) {
      try {
        dataset->row(i);
        dataset->text_row(i);
      } catch (const multimeditron::UserError&) {  // what a damaged row must give
      }
    }
  } catch (const multimeditron::UserError&) {  // what a damaged file must give
  }
  std::filesystem::remove(file);
  return 0;
}
