#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/file.h"

namespace multimeditron {

/// Writes an array of float32 in NumPy's .npy format (version 1.0, C order), piece by piece, for `numpy.load`. Throws UserError where the
/// disk refuses.
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& file, const std::vector<int64_t>& shape);
  void append(std::span<const float> values);
  /// Everything has been appended: as many values as the shape has.
  void close() { writer_.close(); }

 private:
  FileWriter writer_;
};

/// The same at once.
void write_npy(const std::filesystem::path& file, const std::vector<int64_t>& shape, std::span<const float> values);

}  // namespace multimeditron
