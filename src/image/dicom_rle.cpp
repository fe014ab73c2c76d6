#include <fmt/format.h>

#include <algorithm>

#include "image/codec.h"
#include "image/samples.h"

namespace multimeditron {
namespace {

const char* const kKind = "RLE";
constexpr size_t kHeader = 64;

size_t little_endian(std::span<const std::byte> bytes, size_t at) {
  size_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= std::to_integer<size_t>(bytes[at + i]) << 8 * i;
  return value;
}

/// Calls `put(byte)` for `count` bytes of a segment's runs.
template <typename Put>
void expand(std::span<const std::byte> segment, size_t count, Put put) {
  size_t at = 0;
  while (count > 0) {
    if (at >= segment.size()) throw truncated_image(kKind, "a segment with fewer bytes than the picture");
    const auto length = std::to_integer<size_t>(segment[at++]);
    if (length == 128) continue;  // says nothing
    const size_t repeated = length > 128 ? 257 - length : 0, copied = length < 128 ? length + 1 : 0;
    if (at + std::max<size_t>(copied, 1) > segment.size()) throw truncated_image(kKind, "a segment that ends within a run");
    const size_t step = std::min(count, repeated + copied);
    for (size_t i = 0; i < step; ++i) put(std::to_integer<uint32_t>(segment[repeated > 0 ? at : at + i]));
    at += repeated > 0 ? 1 : copied;
    count -= step;
  }
}

}  // namespace

Samples decode_dicom_rle(std::span<const std::byte> bytes, const ExpectedSize& expected, int bits) {
  if (bytes.size() < kHeader) throw truncated_image(kKind, "end of data within its header");
  const size_t num_segments = little_endian(bytes, 0), num_bytes = static_cast<size_t>(bits) / 8;
  const auto components = static_cast<size_t>(expected.components), area = static_cast<size_t>(expected.width * expected.height);
  if (num_segments != components * num_bytes)
    throw corrupt_image(kKind, fmt::format("{} segments where the picture has {}", num_segments, components * num_bytes));
  // Two bytes give at most 128: before memory is taken.
  if (area * num_segments / 64 > bytes.size()) throw truncated_image(kKind, fmt::format("{} bytes for {} samples", bytes.size(), area));
  Samples samples{.width = expected.width, .height = expected.height, .components = expected.components, .bits = bits, .values = {}};
  samples.values.resize(area * components);
  for (size_t i = 0; i < num_segments; ++i) {
    const size_t begin = little_endian(bytes, 4 + 4 * i);
    const size_t next = i + 1 < num_segments ? little_endian(bytes, 8 + 4 * i) : bytes.size();
    const size_t end = std::min(next, bytes.size());
    if (begin < kHeader || begin > end) throw truncated_image(kKind, "a segment that lies outside its data");
    // Of a component's bytes the highest comes first.
    const size_t component = i / num_bytes, shift = 8 * (num_bytes - 1 - i % num_bytes);
    size_t at = component;
    expand(bytes.subspan(begin, end - begin), area, [&](uint32_t byte) {
      samples.values[at] = static_cast<int32_t>(static_cast<uint32_t>(samples.values[at]) | byte << shift);
      at += components;
    });
  }
  return samples;
}

}  // namespace multimeditron
