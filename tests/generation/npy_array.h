#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace multimeditron::testing {

/// A float32 array out of a .npy file.
struct NpyArray {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

inline NpyArray read_npy(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  const size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
  EXPECT_NE(bytes.find("'<f4'"), std::string::npos);
  NpyArray array;
  const size_t open = bytes.find("'shape': (") + std::strlen("'shape': (");
  std::istringstream sizes(bytes.substr(open, bytes.find(')', open) - open));
  for (std::string size; std::getline(sizes, size, ',');)
    if (size.find_first_of("0123456789") != std::string::npos) array.shape.push_back(std::stoll(size));
  array.values.resize((bytes.size() - header) / sizeof(float));
  std::memcpy(array.values.data(), bytes.data() + header, array.values.size() * sizeof(float));
  return array;
}

}  // namespace multimeditron::testing
