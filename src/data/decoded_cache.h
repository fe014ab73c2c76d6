#pragma once

#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
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

/// A data set's unpacked groups by number. Those of all data sets of the process share one room, and the least recently used ones among
/// them are dropped: however many data sets a recipe names, they take no more memory than one. Thread-safe.
class DecodedCache {
 public:
  /// Groups are kept up to this size (the one in use always).
  static constexpr int64_t kMostBytes = int64_t{512} << 20;

  DecodedCache() = default;
  DecodedCache(const DecodedCache&) = delete;
  DecodedCache& operator=(const DecodedCache&) = delete;
  ~DecodedCache() {
    const std::lock_guard lock(room_->mutex);
    room_->expected_bytes -= expected_bytes_;
    while (true) {
      const auto first = room_->groups.lower_bound({this, 0});
      if (first == room_->groups.end() || first->first.first != this) return;
      room_->drop(first->second);
    }
  }

  /// Says what all groups of the data set take together. Whether that, and what the process's other data sets have said, is more than is
  /// kept.
  bool expect(int64_t size_bytes) {
    const std::lock_guard lock(room_->mutex);
    room_->expected_bytes += size_bytes;
    expected_bytes_ += size_bytes;
    return room_->expected_bytes > kMostBytes;
  }

  /// Group `number`, which `read(rows)` unpacks unless it is there. What it throws is thrown, and the next one tries again. `size_bytes`:
  /// what the group is expected to take; what it does take counts once it is known.
  template <typename Read>
  std::shared_ptr<DecodedRows> get(size_t number, int64_t size_bytes, Read read) {
    const Key key{this, number};
    std::shared_ptr<DecodedRows> group;
    {
      const std::lock_guard lock(room_->mutex);
      const auto found = room_->groups.find(key);
      if (found != room_->groups.end()) {
        room_->recent.splice(room_->recent.begin(), room_->recent, found->second);
      } else {
        room_->recent.push_front({key, 0, std::make_shared<DecodedRows>()});
        room_->groups[key] = room_->recent.begin();
        room_->resize(room_->recent.begin(), size_bytes);
      }
      group = room_->recent.front().group;
    }
    std::call_once(group->read, [&] {
      read(*group);
      const std::lock_guard lock(room_->mutex);
      const auto found = room_->groups.find(key);
      const bool is_kept = found != room_->groups.end() && found->second->group == group;
      if (is_kept) room_->resize(found->second, group->pool->bytes_allocated());
    });
    return group;
  }

 private:
  using Key = std::pair<const DecodedCache*, size_t>;
  struct Entry {
    Key key;
    int64_t size_bytes;
    std::shared_ptr<DecodedRows> group;
  };
  struct Room {
    std::mutex mutex;
    std::list<Entry> recent;
    std::map<Key, std::list<Entry>::iterator> groups;
    int64_t total_bytes = 0, expected_bytes = 0;

    void drop(std::list<Entry>::iterator entry) {
      total_bytes -= entry->size_bytes;
      groups.erase(entry->key);
      recent.erase(entry);  // whoever still reads from it holds it
    }
    /// Notes what a group takes, and drops what there is no more room for.
    void resize(std::list<Entry>::iterator entry, int64_t size_bytes) {
      total_bytes += size_bytes - entry->size_bytes;
      entry->size_bytes = size_bytes;
      while (total_bytes > kMostBytes && recent.size() > 1) drop(std::prev(recent.end()));
    }
  };
  static std::shared_ptr<Room> room_of_process() {
    static const auto room = std::make_shared<Room>();
    return room;
  }

  std::shared_ptr<Room> room_ = room_of_process();
  int64_t expected_bytes_ = 0;
};

}  // namespace multimeditron
