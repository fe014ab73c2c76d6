#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace multimeditron {

/// One tensor as the header of a safetensors file describes it; `begin` and `end` count from the end of the header.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of their data
  std::map<std::string, std::string> metadata;
  size_t data_start = 0;  ///< where the data begins in the file
};

/// A name from outside, fit for a message: short, and without what a terminal would obey.
std::string shown(const std::string& name);

/// Reads and checks the header of a whole file's bytes: afterwards every [begin, end) lies inside the file, has the size of its tensor, and
/// none overlaps another. Throws UserError without the file's name.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file);

/// The header's bytes (with the length in front, padded with spaces to a multiple of 8) for entries in the order of their data.
std::string format_safetensors_header(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata);

}  // namespace multimeditron
