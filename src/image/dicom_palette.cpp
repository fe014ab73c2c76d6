#include <cmath>

#include "image/codec.h"
#include "image/dicom_elements.h"

namespace multimeditron {

std::vector<uint16_t> expand_segmented_palette(std::span<const uint16_t> words, bool is_eight_bit, bool is_big_endian, size_t count) {
  constexpr size_t kMostSegments = 1 << 18;
  size_t num_segments = 0;
  std::vector<uint16_t> entries;
  const auto fail = [] { return corrupt_image(kDicomKind, "a segmented palette that cannot be expanded"); };
  const auto segments = [&](auto&& self, size_t at, size_t most, int depth) -> void {
    if (depth > 2) throw fail();  // an indirect segment may not name another one
    for (size_t read = 0; read < most && at + 1 < words.size() && entries.size() < count; ++read) {
      if (++num_segments > kMostSegments) throw fail();
      const uint16_t kind = words[at];
      const size_t length = words[at + 1];
      at += 2;
      if (kind == 0) {  // discrete
        if (length > words.size() - at) throw fail();
        entries.insert(entries.end(), words.begin() + static_cast<ptrdiff_t>(at), words.begin() + static_cast<ptrdiff_t>(at + length));
        at += length;
      } else if (kind == 1) {  // linear, from the last entry
        if (entries.empty() || at >= words.size()) throw fail();
        const double from = entries.back(), to = words[at++];
        for (size_t i = 1; i <= length; ++i) {
          const double step = (to - from) / static_cast<double>(length);
          entries.push_back(i == length ? static_cast<uint16_t>(to)
                                        : static_cast<uint16_t>(std::nearbyint(from + step * static_cast<double>(i))));
        }
      } else if (kind == 2) {  // indirect: segments that stood before, by their byte
        const size_t parts = is_eight_bit ? 4 : 2;
        if (parts > words.size() - at) throw fail();
        size_t place = 0;
        if (is_eight_bit) {
          for (size_t i = 0; i < 4; ++i) place |= static_cast<size_t>(words[at + (is_big_endian ? i ^ 1 : i)]) << 8 * i;
        } else {
          place = static_cast<size_t>(words[at + 1]) << 16 | words[at];
        }
        at += parts;
        if (!is_eight_bit) place /= 2;
        if (place >= words.size()) throw fail();
        self(self, place, length, depth + 1);
      } else {
        throw fail();
      }
    }
  };
  segments(segments, 0, SIZE_MAX, 1);
  entries.resize(std::min(entries.size(), count));
  return entries;
}

}  // namespace multimeditron
