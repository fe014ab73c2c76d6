#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace multimeditron {

/// The inner loop of resampling, for both passes: sums of bytes times fixed-point weights, exact in 32 bits, rounded to bytes.

inline constexpr int kWeightBits = 32 - 8 - 2;  ///< fraction of a weight: 8 bits are the pixel's, 2 headroom for the filter's overshoot
inline constexpr int kTaps = 4;                 ///< weights of a group
inline constexpr int kLanes = 16;               ///< sums computed at once
inline constexpr int kBlocks = 3;               ///< of kLanes sums with the same weights: the colours, or pieces of a row

/// Four weights, whole and as signed bytes, since processors that multiply bytes want them so: weight = s[0] + 2^8 s[1] + 2^16 s[2].
struct WeightGroup {
  explicit WeightGroup(const std::array<int32_t, kTaps>& values) : weights(values) {
    for (size_t t = 0; t < kTaps; ++t) {
      int32_t rest = values[t];
      for (auto& slice : slices) {
        slice[t] = static_cast<int8_t>(rest & 255);  // -128 to 127; what it is too low or too high by goes on to the next
        rest = (rest - slice[t]) / 256;
      }
    }
  }
  std::array<int32_t, kTaps> weights;
  std::array<std::array<int8_t, kTaps>, 3> slices;
};

/// out[b][lane] = sum over groups g and taps t of in[g * stride + (b * kLanes + lane) * kTaps + t] * weight of g, t.
/// `in`: kBlocks * kLanes * kTaps bytes a group, groups `stride` bytes apart; `out`: kBlocks * kLanes bytes.
using Weigh = void (*)(const uint8_t* in, int64_t stride, std::span<const WeightGroup> groups, uint8_t* out);

struct WeighVariant {
  const char* name;  ///< portable, avx2, vnni
  Weigh weigh;
};

/// Those that this processor can run, the fastest last. All give the same bytes.
std::span<const WeighVariant> weigh_variants();

}  // namespace multimeditron
