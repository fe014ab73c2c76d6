#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "base/temporary_folder.h"

namespace multimeditron::testing {

/// A folder in memory that lives as long as the process, for parsers that read files.
inline const TemporaryFolder& input_folder() {
  static const TemporaryFolder folder(memory_folder());
  return folder;
}

/// Its file of that name, which now holds the bytes.
inline std::filesystem::path input_file(const char* name, const uint8_t* data, size_t size) {
  const std::filesystem::path file = input_folder() / name;
  std::FILE* stream = std::fopen(file.c_str(), "wb");
  if (stream == nullptr || std::fwrite(data, 1, size, stream) != size || std::fclose(stream) != 0)
    throw std::runtime_error("the input cannot be written to " + file.string());
  return file;
}

}  // namespace multimeditron::testing
