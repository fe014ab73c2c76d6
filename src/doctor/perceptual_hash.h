#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "image/image.h"

namespace multimeditron {

/// What is kept of an image to find it again after it was encoded anew, resized or brightened: its luminance squeezed to 32 x 32, each
/// value the mean of its part of the image.
struct Miniature {
  static constexpr int64_t kSide = 32;
  std::array<uint8_t, kSide * kSide> luminance{};

  /// Standard deviation of the luminance below which an image shows nothing that could be recognised.
  static constexpr double kFlat = 3;
  double deviation() const;
};

Miniature miniature(const RgbImage& image);

/// 64 bits of the miniature's cosine transform: the 64 lowest frequencies but the mean, in zigzag order, each 1 where it is above their
/// median. Brightness, contrast, compression and size hardly change them; a crop, a rotation or a mirror image does.
uint64_t perceptual_hash(const Miniature& miniature);

/// Bits in which two hashes differ.
int hamming_distance(uint64_t a, uint64_t b);

/// Correlation of two miniatures' luminance, -1 to 1; 0 where one is flat. It tells images apart whose coarse frequencies agree.
double correlation(const Miniature& a, const Miniature& b);

/// Images whose hashes differ in at most so many bits are compared ...
inline constexpr int kNearDistance = 7;
/// ... and are near-duplicates where their miniatures correlate at least so much.
inline constexpr double kNearCorrelation = 0.99;

/// Finds hashes within kNearDistance bits: each hash is cut into four words of 16 bits, of which one differs in at most one bit, so 4 x 17
/// looks into tables find all of them, however many hashes there are. Const calls are thread-safe.
class HashIndex {
 public:
  explicit HashIndex(std::vector<uint64_t> hashes);
  /// Calls `found(number, distance)` once for each hash within kNearDistance of `hash`.
  void near(uint64_t hash, const std::function<void(size_t number, int distance)>& found) const;

 private:
  static constexpr int kWords = 4;
  static_assert(kNearDistance < 2 * kWords, "two differing bits in each word would go unfound");
  struct Table {
    std::vector<uint32_t> begins;   // of each of 65,536 words, and the end
    std::vector<uint32_t> numbers;  // hashes by that word
  };
  std::vector<uint64_t> hashes_;
  std::array<Table, kWords> tables_;
};

}  // namespace multimeditron
