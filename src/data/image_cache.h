#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "data/sample.h"

namespace multimeditron {

/// Images that have been made ready, by a hash of what they were made from; the least recently used ones go first. May be used from many
/// threads; two that miss the same image at once both decode it.
class ImageCache {
 public:
  explicit ImageCache(int64_t size_bytes) : size_bytes_(size_bytes) {}

  std::optional<ImageInput> find(uint64_t key);
  /// Leaves an image out that takes more than a quarter of the cache.
  void add(uint64_t key, const ImageInput& image);
  ImageCacheUse use() const;

 private:
  struct Entry {
    uint64_t key;
    std::shared_ptr<const ImageInput> image;
  };
  static int64_t size_of(const ImageInput& image);

  int64_t size_bytes_, held_bytes_ = 0;
  mutable std::mutex mutex_;
  std::list<Entry> recent_;
  std::unordered_map<uint64_t, std::list<Entry>::iterator> images_;
  ImageCacheUse use_;
};

}  // namespace multimeditron
