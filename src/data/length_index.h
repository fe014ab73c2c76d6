#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "data/sample.h"

namespace multimeditron {

/// Tokens of each row of a data set, 0 for rows that cannot be used: what packing needs to know before the first step.
struct LengthIndex {
  std::vector<int64_t> lengths;
  bool was_kept = false;       ///< taken from an earlier launch, or from another process of this one
  double seconds = 0;          ///< that it took
  std::filesystem::path file;  ///< where it is kept; empty where it is not
};

struct LengthIndexOptions {
  std::filesystem::path folder;  ///< where indices are kept; empty: nowhere
  int num_threads = 1;
  std::function<void(int64_t done, int64_t total)> progress = nullptr;  ///< called from any thread; what it throws ends the work
};

/// The lengths of `builder`'s samples, from `folder` where it has them, else counted and kept there. A file that is damaged, or whose
/// lengths are not those of the data any more (some are counted again), is made anew with a note; a folder that cannot be written costs a
/// note. Of several processes that ask at once, one counts and the others wait for it; if it dies, another takes over. Does not throw but
/// for what `progress` throws.
LengthIndex length_index(const SampleBuilder& builder, const LengthIndexOptions& options);

/// The lengths, counted anew.
std::vector<int64_t> sample_lengths(const SampleBuilder& builder, int num_threads,
                                    const std::function<void(int64_t done, int64_t total)>& progress = nullptr);

}  // namespace multimeditron
