#include "base/npy.h"

#include <fmt/format.h>

#include <bit>
#include <string>

namespace multimeditron {

static_assert(std::endian::native == std::endian::little, "the header says '<f4'");

NpyWriter::NpyWriter(const std::filesystem::path& file, const std::vector<int64_t>& shape) : writer_(file) {
  std::string sizes;
  for (const int64_t size : shape) sizes += fmt::format("{}{}", sizes.empty() ? "" : ", ", size);
  if (shape.size() == 1) sizes += ",";  // a Python tuple of one
  std::string header = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sizes);
  // Magic, version, length and header together are a multiple of 64 bytes, the last of them a line break.
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  writer_.write(start + header);
}

void NpyWriter::append(std::span<const float> values) {
  writer_.write(std::as_bytes(values));
}

void write_npy(const std::filesystem::path& file, const std::vector<int64_t>& shape, std::span<const float> values) {
  NpyWriter writer(file, shape);
  writer.append(values);
  writer.close();
}

}  // namespace multimeditron
