#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "image/codec.h"
#include "image/dicom_file.h"

namespace multimeditron {

inline const char* const kDicomKind = "DICOM";
inline constexpr uint32_t kUndefined = 0xffffffff;
inline constexpr int kDeepest = 32;

constexpr uint32_t dicom_tag(uint32_t group, uint32_t element) {
  return group << 16 | element;
}
inline constexpr uint32_t kItem = dicom_tag(0xfffe, 0xe000), kItemEnd = dicom_tag(0xfffe, 0xe00d), kSequenceEnd = dicom_tag(0xfffe, 0xe0dd);

/// A number of `count` bytes at `at`, which lie within `bytes`.
inline uint64_t little_or_big(std::span<const std::byte> bytes, size_t at, size_t count, bool is_big_endian) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= std::to_integer<uint64_t>(bytes[at + i]) << 8 * (is_big_endian ? count - 1 - i : i);
  return value;
}

/// Do two capitals stand at `at`, as an element's type is written?
inline bool is_dicom_vr(std::span<const std::byte> bytes, size_t at) {
  if (at + 2 > bytes.size()) return false;
  const auto is_letter = [](std::byte b) { return b >= std::byte{'A'} && b <= std::byte{'Z'}; };
  return is_letter(bytes[at]) && is_letter(bytes[at + 1]);
}

/// Types whose length takes four bytes, behind two of nothing.
inline bool has_long_length(std::string_view vr) {
  static constexpr std::array<std::string_view, 13> kLong = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"};
  return std::find(kLong.begin(), kLong.end(), vr) != kLong.end();
}

/// An element's header and, where its length is known, its value.
struct DicomElement {
  uint32_t tag = 0;
  std::string_view vr;  ///< empty in an implicit data set
  uint32_t length = 0;
  size_t begin = 0;  ///< of the value
  bool is_undefined() const { return length == kUndefined; }
};

/// Walks a data set's elements. Values that nobody asks for are stepped over by their length.
class DicomWalker {
 public:
  DicomWalker(std::span<const std::byte> bytes, const DicomSyntax& syntax) : bytes_(bytes), syntax_(syntax) {}

  std::span<const std::byte> bytes() const { return bytes_; }
  bool is_big_endian() const { return syntax_.is_big_endian; }

  /// The element at `at`; nothing where less than a header is left before `end`.
  std::optional<DicomElement> element(size_t at, size_t end) const {
    if (at + 8 > end) return std::nullopt;
    DicomElement element;
    element.tag = dicom_tag(static_cast<uint32_t>(little_or_big(bytes_, at, 2, syntax_.is_big_endian)),
                            static_cast<uint32_t>(little_or_big(bytes_, at + 2, 2, syntax_.is_big_endian)));
    const bool is_delimiter = element.tag >> 16 == 0xfffe;
    if (!syntax_.is_explicit || is_delimiter || !is_dicom_vr(bytes_, at + 4)) {
      element.length = static_cast<uint32_t>(little_or_big(bytes_, at + 4, 4, syntax_.is_big_endian));
      element.begin = at + 8;
      return element;
    }
    element.vr = {reinterpret_cast<const char*>(bytes_.data()) + at + 4, 2};
    if (has_long_length(element.vr)) {
      if (at + 12 > end) return std::nullopt;
      element.length = static_cast<uint32_t>(little_or_big(bytes_, at + 8, 4, syntax_.is_big_endian));
      element.begin = at + 12;
    } else {
      element.length = static_cast<uint32_t>(little_or_big(bytes_, at + 6, 2, syntax_.is_big_endian));
      element.begin = at + 8;
    }
    return element;
  }

  /// Where the value of an undefined length ends, its end mark included: a sequence of items, whatever lies in them.
  size_t end_of_sequence(size_t at, size_t end, int depth) const {
    require_depth(depth);
    while (true) {
      const auto item = element(at, end);
      if (!item) throw truncated_image(kDicomKind, "end of data within a sequence");
      if (item->tag == kSequenceEnd) return item->begin;
      if (item->tag != kItem) throw corrupt_image(kDicomKind, "a sequence that holds something other than items");
      at = item->is_undefined() ? end_of_item(item->begin, end, depth + 1) : after(*item, end);
    }
  }

  size_t after(const DicomElement& element, size_t end) const {
    if (element.length > end - element.begin) throw truncated_image(kDicomKind, "end of data within an element");
    return element.begin + element.length;
  }

  /// Calls `each(item's begin, item's end, index)` for the items of a sequence, `end` being that of its parent. Returns where it ends.
  template <typename Each>
  size_t for_each_item(const DicomElement& sequence, size_t end, int depth, Each each) const {
    require_depth(depth);
    const size_t stop = sequence.is_undefined() ? end_of_sequence(sequence.begin, end, depth) : after(sequence, end);
    size_t at = sequence.begin;
    for (int64_t index = 0;; ++index) {
      const auto item = element(at, stop);
      if (!item || item->tag != kItem) return stop;
      const size_t item_end = item->is_undefined() ? end_of_item(item->begin, stop, depth + 1) : after(*item, stop);
      each(item->begin, item_end, index);
      at = item_end;
    }
  }

  /// Calls `each(element)` for the elements of an item or a data set, up to an end mark. What it returns is where the walk goes on; nothing
  /// means behind the element.
  template <typename Each>
  void for_each_element(size_t at, size_t end, int depth, Each each) const {
    require_depth(depth);
    while (const auto next = element(at, end)) {
      if (next->tag == kItemEnd) return;
      const std::optional<size_t> behind = each(*next);
      at = behind ? *behind : next->is_undefined() ? end_of_sequence(next->begin, end, depth + 1) : after(*next, end);
    }
  }

 private:
  size_t end_of_item(size_t at, size_t end, int depth) const {
    require_depth(depth);
    while (true) {
      const auto next = element(at, end);
      if (!next) throw truncated_image(kDicomKind, "end of data within an item");
      if (next->tag == kItemEnd) return next->begin;
      at = next->is_undefined() ? end_of_sequence(next->begin, end, depth + 1) : after(*next, end);
    }
  }

  static void require_depth(int depth) {
    if (depth > kDeepest) throw corrupt_image(kDicomKind, fmt::format("sequences nested more than {} deep", kDeepest));
  }

  std::span<const std::byte> bytes_;
  DicomSyntax syntax_;
};

}  // namespace multimeditron
