#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "data/arrow_pool.h"
#include "data/arrow_rows.h"
#include "data/row_index.h"

namespace multimeditron {

/// Rows that had to be unpacked: a row group of a Parquet file, a compressed batch of an Arrow file.
struct DecodedRows {
  std::once_flag read;
  std::shared_ptr<BoundedPool> pool;  ///< outlives the batches' memory
  std::vector<ArrowRows> batches;
  RowIndex index;
};

/// Unpacked groups by number, the least recently used ones dropped. Thread-safe.
class DecodedCache {
 public:
  /// Groups are kept up to this size (the one in use always).
  static constexpr int64_t kMostBytes = int64_t{512} << 20;

  /// `size_bytes`: what the group will take.
  std::shared_ptr<DecodedRows> get(size_t number, int64_t size_bytes) {
    const std::lock_guard lock(mutex_);
    if (const auto found = groups_.find(number); found != groups_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return recent_.front().group;
    }
    recent_.push_front({number, size_bytes, std::make_shared<DecodedRows>()});
    groups_[number] = recent_.begin();
    total_bytes_ += size_bytes;
    while (total_bytes_ > kMostBytes && recent_.size() > 1) {
      total_bytes_ -= recent_.back().size_bytes;
      groups_.erase(recent_.back().number);
      recent_.pop_back();  // whoever still reads from it holds it
    }
    return recent_.front().group;
  }

 private:
  struct Entry {
    size_t number;
    int64_t size_bytes;
    std::shared_ptr<DecodedRows> group;
  };
  std::mutex mutex_;
  std::list<Entry> recent_;
  std::map<size_t, std::list<Entry>::iterator> groups_;
  int64_t total_bytes_ = 0;
};

}  // namespace multimeditron
