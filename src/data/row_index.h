#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace multimeditron {

/// Parts (files, or batches of them) that follow one another: finds the part of a row.
class RowIndex {
 public:
  void add_part(int64_t num_rows) { ends_.push_back(size() + num_rows); }
  int64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  int64_t first_row(size_t part) const { return part == 0 ? 0 : ends_[part - 1]; }
  /// Part and row within it; `row` is in [0, size()).
  std::pair<size_t, int64_t> find(int64_t row) const {
    const auto part = static_cast<size_t>(std::upper_bound(ends_.begin(), ends_.end(), row) - ends_.begin());
    return {part, row - first_row(part)};
  }

 private:
  std::vector<int64_t> ends_;
};

}  // namespace multimeditron
