#include "data/packer.h"

#include <algorithm>
#include <bit>

namespace multimeditron {
namespace {

/// Packs with their free room, as a tree of maxima: the first pack with enough room is found in log time.
class FirstFit {
 public:
  explicit FirstFit(size_t most_packs) : leaves_(std::bit_ceil(std::max<size_t>(most_packs, 1))), room_(2 * leaves_, 0) {}

  /// The first pack with `length` tokens free, or a new one with `max_length`.
  size_t place(int64_t length, int64_t max_length) {
    size_t pack = num_packs_;
    if (num_packs_ > 0 && room_[1] >= length) {
      size_t node = 1;
      while (node < leaves_) node = room_[2 * node] >= length ? 2 * node : 2 * node + 1;
      pack = node - leaves_;
    }
    if (pack >= num_packs_) {
      pack = num_packs_++;
      set(pack, max_length);
    }
    set(pack, room_[leaves_ + pack] - length);
    return pack;
  }

 private:
  void set(size_t pack, int64_t room) {
    size_t node = leaves_ + pack;
    room_[node] = room;
    while (node > 1) {
      node /= 2;
      room_[node] = std::max(room_[2 * node], room_[2 * node + 1]);
    }
  }

  size_t leaves_, num_packs_ = 0;
  std::vector<int64_t> room_;  // 0 where no pack is open yet
};

}  // namespace

std::vector<Pack> pack_samples(std::span<const int64_t> order, std::span<const int64_t> lengths, int64_t max_length, uint64_t seed,
                               int64_t window) {
  const auto length_of = [&](int64_t row) {
    const int64_t length = lengths[static_cast<size_t>(row)];
    return length > max_length ? 0 : std::max<int64_t>(length, 0);
  };
  std::vector<Pack> packs;
  for (size_t begin = 0; begin < order.size(); begin += static_cast<size_t>(window)) {
    const auto part = order.subspan(begin, std::min(static_cast<size_t>(window), order.size() - begin));
    std::vector<int64_t> rows(part.begin(), part.end());
    // Rows without room would all fit the first pack, and one micro-batch of nothing but mistakes looks like data that is all bad.
    const auto first_bad = std::stable_partition(rows.begin(), rows.end(), [&](int64_t row) { return length_of(row) > 0; });
    const std::vector<int64_t> bad(first_bad, rows.end());
    rows.erase(first_bad, rows.end());
    std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) { return length_of(a) > length_of(b); });
    FirstFit first_fit(rows.size());
    const size_t first_pack = packs.size();
    for (const int64_t row : rows) {
      const size_t pack = first_pack + first_fit.place(length_of(row), max_length);
      if (pack == packs.size()) packs.emplace_back();
      packs[pack].push_back(row);
    }
    if (rows.empty()) {
      for (const int64_t row : bad) packs.push_back({row});
      continue;
    }
    const size_t num_packs = packs.size() - first_pack;
    for (size_t j = 0; j < bad.size(); ++j) packs[first_pack + j * num_packs / bad.size()].push_back(bad[j]);
  }
  std::vector<Pack> shuffled;
  shuffled.reserve(packs.size());
  for (const int64_t pack : torch_randperm(seed, static_cast<int64_t>(packs.size())))
    shuffled.push_back(std::move(packs[static_cast<size_t>(pack)]));
  return shuffled;
}

PackedSampler::PackedSampler(std::vector<int64_t> lengths, int64_t max_length, Sampler samples, int64_t training_seed, int64_t batch_size)
    : lengths_(std::move(lengths)),
      max_length_(max_length),
      training_seed_(training_seed),
      batch_size_(batch_size),
      samples_(std::move(samples)) {}

PackedSampler::PackedSampler(std::vector<int64_t> lengths, int64_t max_length, int64_t recipe_seed, int64_t training_seed,
                             int64_t batch_size)
    : PackedSampler(lengths, max_length, Sampler(static_cast<int64_t>(lengths.size()), recipe_seed, training_seed, batch_size),
                    training_seed, batch_size) {}

void PackedSampler::prepare(int64_t epoch) {
  if (epoch == epoch_) return;
  packs_ = pack_samples(samples_.epoch_rows(epoch), lengths_, max_length_, static_cast<uint64_t>(training_seed_ + epoch));
  epoch_ = epoch;
}

std::vector<int64_t> PackedSampler::batch(int64_t epoch, int64_t index) {
  prepare(epoch);
  std::vector<int64_t> rows;
  const int64_t end = std::min((index + 1) * batch_size_, static_cast<int64_t>(packs_.size()));
  for (int64_t i = index * batch_size_; i < end; ++i) {
    const Pack& pack = packs_[static_cast<size_t>(i)];
    rows.insert(rows.end(), pack.begin(), pack.end());
  }
  return rows;
}

int64_t PackedSampler::packs_per_epoch(int64_t epoch) {
  prepare(epoch);
  return static_cast<int64_t>(packs_.size());
}

int64_t PackedSampler::batches_per_epoch(int64_t epoch) {
  return (packs_per_epoch(epoch) + batch_size_ - 1) / batch_size_;
}

double PackedSampler::efficiency(int64_t epoch) {
  prepare(epoch);
  int64_t tokens = 0;
  for (const Pack& pack : packs_) {
    for (const int64_t row : pack) {
      const int64_t length = lengths_[static_cast<size_t>(row)];
      tokens += length > max_length_ ? 0 : std::max<int64_t>(length, 0);
    }
  }
  return packs_.empty() ? 0.0 : static_cast<double>(tokens) / (static_cast<double>(packs_.size()) * static_cast<double>(max_length_));
}

}  // namespace multimeditron
