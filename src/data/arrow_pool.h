#pragma once

#include <arrow/memory_pool.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

namespace multimeditron {

/// What the data of one file may take once unpacked: a file that says it unpacks to more is an attack or damaged. Images do not shrink, and
/// text that shrinks to a sixteenth is no text.
inline int64_t most_unpacked_bytes(int64_t file_bytes) {
  constexpr int64_t kAlways = int64_t{256} << 20;
  return std::max(kAlways, 16 * file_bytes);
}

/// Arrow's default allocator with a limit on what is held at once; past it Arrow gives an error, before the memory is taken.
class BoundedPool : public arrow::MemoryPool {
 public:
  explicit BoundedPool(int64_t most_bytes) : most_bytes_(most_bytes) {}

  using arrow::MemoryPool::Allocate;
  using arrow::MemoryPool::Free;
  using arrow::MemoryPool::Reallocate;

  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override {
    ARROW_RETURN_NOT_OK(take(size));
    const arrow::Status status = pool_->Allocate(size, alignment, out);
    if (!status.ok()) held_ -= size;
    return status;
  }

  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment, uint8_t** memory) override {
    ARROW_RETURN_NOT_OK(take(new_size - old_size));
    const arrow::Status status = pool_->Reallocate(old_size, new_size, alignment, memory);
    if (!status.ok()) held_ -= new_size - old_size;
    return status;
  }

  void Free(uint8_t* memory, int64_t size, int64_t alignment) override {
    pool_->Free(memory, size, alignment);
    held_ -= size;
  }

  int64_t bytes_allocated() const override { return held_; }
  int64_t max_memory() const override { return most_held_; }
  int64_t total_bytes_allocated() const override { return total_; }
  int64_t num_allocations() const override { return allocations_; }
  std::string backend_name() const override { return pool_->backend_name(); }

 private:
  arrow::Status take(int64_t size) {
    const int64_t held = held_ += size;
    if (size > most_bytes_ || held > most_bytes_) {
      held_ -= size;
      return arrow::Status::OutOfMemory("its data unpack to more than ", most_bytes_ >> 20, " MB");
    }
    if (size > 0) {
      total_ += size;
      ++allocations_;
      int64_t most = most_held_;
      while (held > most && !most_held_.compare_exchange_weak(most, held)) {
      }
    }
    return arrow::Status::OK();
  }

  arrow::MemoryPool* pool_ = arrow::default_memory_pool();
  const int64_t most_bytes_;
  std::atomic<int64_t> held_ = 0, most_held_ = 0, total_ = 0, allocations_ = 0;
};

}  // namespace multimeditron
