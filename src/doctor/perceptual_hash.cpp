#include "doctor/perceptual_hash.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace multimeditron {
namespace {

constexpr size_t kSide = Miniature::kSide;
constexpr size_t kFrequencies = 11;  // along an edge: those of the first 64 of the zigzag, and the mean

using Cosines = std::array<std::array<float, kSide>, kFrequencies>;

const Cosines& cosines() {
  static const Cosines table = [] {
    Cosines made{};
    for (size_t k = 0; k < kFrequencies; ++k)
      for (size_t i = 0; i < kSide; ++i)
        made[k][i] = static_cast<float>(std::cos(std::numbers::pi * static_cast<double>(k) * (static_cast<double>(i) + 0.5) / kSide));
    return made;
  }();
  return table;
}

uint16_t word_of(uint64_t hash, int word) {
  return static_cast<uint16_t>(hash >> (16 * word));
}

/// How pixels of an edge are spread over the cells: cell i takes weights[first[i]...] from its pixels, which sum to 1.
struct Spread {
  struct Share {
    size_t pixel;
    float weight;
  };
  std::array<std::vector<Share>, kSide> cells;

  explicit Spread(int64_t length) {
    const double width = static_cast<double>(length) / kSide;  // pixels a cell, perhaps less than one
    for (size_t cell = 0; cell < kSide; ++cell) {
      const double begin = static_cast<double>(cell) * width, end = begin + width;
      for (auto pixel = static_cast<int64_t>(begin); pixel < length && static_cast<double>(pixel) < end; ++pixel) {
        const double covered = std::min(end, static_cast<double>(pixel + 1)) - std::max(begin, static_cast<double>(pixel));
        if (covered > 1e-9) cells[cell].push_back({static_cast<size_t>(pixel), static_cast<float>(covered / width)});
      }
    }
  }
};

struct Moments {
  double mean = 0, deviation = 0;
};

Moments moments(const Miniature& miniature) {
  int64_t sum = 0, squares = 0;
  for (const uint8_t value : miniature.luminance) {
    sum += value;
    squares += int64_t{value} * value;
  }
  constexpr auto kCount = static_cast<double>(kSide * kSide);
  const double mean = static_cast<double>(sum) / kCount;
  return {mean, std::sqrt(std::max(0.0, static_cast<double>(squares) / kCount - mean * mean))};
}

}  // namespace

double Miniature::deviation() const {
  return moments(*this).deviation;
}

Miniature miniature(const RgbImage& image) {
  const Spread columns(image.width), rows(image.height);
  std::vector<float> luminance(static_cast<size_t>(image.width));
  Miniature small;
  for (size_t y = 0; y < kSide; ++y) {
    std::array<float, kSide> sums{};
    for (const Spread::Share& row : rows.cells[y]) {
      const uint8_t* pixel = &image.pixels[3 * row.pixel * static_cast<size_t>(image.width)];
      for (float& value : luminance) {
        value = 0.299F * static_cast<float>(pixel[0]) + 0.587F * static_cast<float>(pixel[1]) + 0.114F * static_cast<float>(pixel[2]);
        pixel += 3;
      }
      for (size_t x = 0; x < kSide; ++x)
        for (const Spread::Share& column : columns.cells[x]) sums[x] += row.weight * column.weight * luminance[column.pixel];
    }
    for (size_t x = 0; x < kSide; ++x) small.luminance[y * kSide + x] = static_cast<uint8_t>(std::clamp(sums[x] + 0.5F, 0.0F, 255.0F));
  }
  return small;
}

uint64_t perceptual_hash(const Miniature& miniature) {
  const Cosines& table = cosines();
  std::array<std::array<float, kSide>, kFrequencies> along_columns{};  // [vertical frequency][column]
  for (size_t k = 0; k < kFrequencies; ++k)
    for (size_t y = 0; y < kSide; ++y)
      for (size_t x = 0; x < kSide; ++x) along_columns[k][x] += table[k][y] * static_cast<float>(miniature.luminance[y * kSide + x]);
  std::array<float, 64> coefficients{};
  size_t count = 0;
  for (size_t diagonal = 1; count < coefficients.size(); ++diagonal) {
    for (size_t k = 0; k <= diagonal && count < coefficients.size(); ++k) {
      const size_t l = diagonal - k;
      float sum = 0;
      for (size_t x = 0; x < kSide; ++x) sum += table[l][x] * along_columns[k][x];
      coefficients[count++] = sum;
    }
  }
  std::array<float, 64> sorted = coefficients;
  std::nth_element(sorted.begin(), sorted.begin() + 32, sorted.end());
  uint64_t hash = 0;
  for (size_t i = 0; i < coefficients.size(); ++i) hash |= uint64_t{coefficients[i] > sorted[32]} << i;
  return hash;
}

int hamming_distance(uint64_t a, uint64_t b) {
  return std::popcount(a ^ b);
}

double correlation(const Miniature& a, const Miniature& b) {
  const Moments of_a = moments(a), of_b = moments(b);
  if (of_a.deviation < 1e-9 || of_b.deviation < 1e-9) return 0;
  int64_t products = 0;
  for (size_t i = 0; i < a.luminance.size(); ++i) products += int64_t{a.luminance[i]} * b.luminance[i];
  const double covariance = static_cast<double>(products) / static_cast<double>(a.luminance.size()) - of_a.mean * of_b.mean;
  return covariance / (of_a.deviation * of_b.deviation);
}

HashIndex::HashIndex(std::vector<uint64_t> hashes) : hashes_(std::move(hashes)) {
  for (int word = 0; word < kWords; ++word) {
    Table& table = tables_[static_cast<size_t>(word)];
    table.begins.assign(65537, 0);
    for (const uint64_t hash : hashes_) ++table.begins[word_of(hash, word) + size_t{1}];
    for (size_t i = 1; i < table.begins.size(); ++i) table.begins[i] += table.begins[i - 1];
    table.numbers.resize(hashes_.size());
    std::vector<uint32_t> next(table.begins.begin(), table.begins.end() - 1);
    for (size_t i = 0; i < hashes_.size(); ++i) table.numbers[next[word_of(hashes_[i], word)]++] = static_cast<uint32_t>(i);
  }
}

void HashIndex::near(uint64_t hash, const std::function<void(size_t, int)>& found) const {
  if (hashes_.empty()) return;
  for (int word = 0; word < kWords; ++word) {
    const Table& table = tables_[static_cast<size_t>(word)];
    const auto look = [&](size_t value) {
      for (uint32_t i = table.begins[value]; i < table.begins[value + 1]; ++i) {
        const uint64_t candidate = hashes_[table.numbers[i]];
        const int distance = hamming_distance(candidate, hash);
        if (distance > kNearDistance) continue;
        // The first word that is near enough reports it.
        bool is_known = false;
        for (int before = 0; before < word && !is_known; ++before)
          is_known = hamming_distance(word_of(candidate, before), word_of(hash, before)) <= 1;
        if (!is_known) found(table.numbers[i], distance);
      }
    };
    const size_t own = word_of(hash, word);
    look(own);
    for (int bit = 0; bit < 16; ++bit) look(own ^ size_t{1} << bit);
  }
}

}  // namespace multimeditron
