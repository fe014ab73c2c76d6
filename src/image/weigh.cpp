#include "image/weigh.h"

#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12 says it of its own header
#endif

namespace multimeditron {

namespace {

using Words [[gnu::vector_size(32)]] = uint32_t;
using Ints [[gnu::vector_size(32)]] = int32_t;
using Shorts [[gnu::vector_size(16)]] = int16_t;
using Bytes [[gnu::vector_size(8)]] = uint8_t;

/// Eight lanes in a vector: each of its words holds a lane's four bytes.
void weigh_portable(const uint8_t* in, int64_t stride, std::span<const WeightGroup> groups, uint8_t* out) {
  constexpr int kVectors = kBlocks * kLanes / 8;
  Words sums[kVectors];                                               // modulo 2^32, which signed sums within 32 bits come out of unharmed
  for (Words& sum : sums) sum = Words{} + (1u << (kWeightBits - 1));  // the half that makes the final shift round
  for (const WeightGroup& group : groups) {
    for (int i = 0; i < kVectors; ++i) {
      Words words;
      std::memcpy(&words, in + 32 * i, sizeof words);
      for (size_t t = 0; t < kTaps; ++t)
        sums[i] += ((words >> static_cast<uint32_t>(8 * t)) & 255) * static_cast<uint32_t>(group.weights[t]);
    }
    in += stride;
  }
  for (int i = 0; i < kVectors; ++i) {
    Ints pixels;
    std::memcpy(&pixels, &sums[i], sizeof pixels);
    pixels >>= kWeightBits;
    pixels = pixels < 0 ? 0 : pixels;
    pixels = pixels > 255 ? 255 : pixels;
    // In two steps, since compilers do the whole way element by element.
    const Bytes bytes = __builtin_convertvector(__builtin_convertvector(pixels, Shorts), Bytes);
    std::memcpy(out + 8 * i, &bytes, sizeof bytes);
  }
}

#if defined(__x86_64__)
/// Multiplies pairs of 16-bit numbers: the weights come in a low part of 11 bits and the rest.
[[gnu::target("avx2")]] void weigh_avx2(const uint8_t* in, int64_t stride, std::span<const WeightGroup> groups, uint8_t* out) {
  constexpr int kLowBits = 11;
  for (int block = 0; block < kBlocks; ++block, in += kLanes * kTaps, out += kLanes) {
    __m256i low[4], high[4];  // [4 lanes][2 pairs of taps] each
    for (int i = 0; i < 4; ++i) low[i] = high[i] = _mm256_setzero_si256();
    const uint8_t* bytes = in;
    for (const WeightGroup& group : groups) {
      __m128i weights;
      std::memcpy(&weights, group.weights.data(), sizeof weights);
      const __m128i low_weights = _mm_and_si128(weights, _mm_set1_epi32((1 << kLowBits) - 1)),
                    high_weights = _mm_srai_epi32(weights, kLowBits);
      const __m256i low_pairs = _mm256_broadcastq_epi64(_mm_packs_epi32(low_weights, low_weights));
      const __m256i high_pairs = _mm256_broadcastq_epi64(_mm_packs_epi32(high_weights, high_weights));
      for (int i = 0; i < 4; ++i) {
        const __m256i wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i)));
        low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(wide, low_pairs));
        high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(wide, high_pairs));
      }
      bytes += stride;
    }
    __m256i lanes[4];
    for (int i = 0; i < 4; ++i) lanes[i] = _mm256_add_epi32(low[i], _mm256_slli_epi32(high[i], kLowBits));
    // Adding and packing work within 128 bits: the permutations bring the lanes back in order.
    const __m256i half = _mm256_set1_epi32(1 << (kWeightBits - 1));
    const __m256i first = _mm256_permute4x64_epi64(_mm256_hadd_epi32(lanes[0], lanes[1]), 0xd8);
    const __m256i second = _mm256_permute4x64_epi64(_mm256_hadd_epi32(lanes[2], lanes[3]), 0xd8);
    const __m256i packed = _mm256_packs_epi32(_mm256_srai_epi32(_mm256_add_epi32(first, half), kWeightBits),
                                              _mm256_srai_epi32(_mm256_add_epi32(second, half), kWeightBits));
    const __m256i shorts = _mm256_permute4x64_epi64(packed, 0xd8);
    const __m128i pixels = _mm_packus_epi16(_mm256_castsi256_si128(shorts), _mm256_extracti128_si256(shorts, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), pixels);
  }
}

/// Multiplies four unsigned by four signed bytes and adds them up in one instruction: a slice of the weights at a time.
[[gnu::target("avx512f,avx512bw,avx512vnni")]] void weigh_vnni(const uint8_t* in, int64_t stride, std::span<const WeightGroup> groups,
                                                               uint8_t* out) {
  __m512i sums[kBlocks][3];
  for (auto& block : sums) {
    block[0] = _mm512_set1_epi32(1 << (kWeightBits - 1));
    block[1] = block[2] = _mm512_setzero_si512();
  }
  for (const WeightGroup& group : groups) {
    __m512i slices[3];
    for (size_t s = 0; s < 3; ++s) {
      int32_t slice;
      std::memcpy(&slice, group.slices[s].data(), sizeof slice);
      slices[s] = _mm512_set1_epi32(slice);
    }
    for (int block = 0; block < kBlocks; ++block) {
      const __m512i bytes = _mm512_loadu_si512(in + block * kLanes * kTaps);
      for (size_t s = 0; s < 3; ++s) sums[block][s] = _mm512_dpbusd_epi32(sums[block][s], bytes, slices[s]);
    }
    in += stride;
  }
  for (int block = 0; block < kBlocks; ++block) {
    const __m512i sum =
        _mm512_add_epi32(sums[block][0], _mm512_add_epi32(_mm512_slli_epi32(sums[block][1], 8), _mm512_slli_epi32(sums[block][2], 16)));
    const __m512i pixels = _mm512_max_epi32(_mm512_srai_epi32(sum, kWeightBits), _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + block * kLanes), _mm512_cvtusepi32_epi8(pixels));
  }
}
#endif

std::vector<WeighVariant> runnable() {
  std::vector<WeighVariant> variants{{"portable", weigh_portable}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) variants.push_back({"avx2", weigh_avx2});
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni")) variants.push_back({"vnni", weigh_vnni});
#endif
  return variants;
}

}  // namespace

std::span<const WeighVariant> weigh_variants() {
  static const std::vector<WeighVariant> variants = runnable();
  return variants;
}

}  // namespace multimeditron
