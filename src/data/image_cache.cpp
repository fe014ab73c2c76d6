#include "data/image_cache.h"

namespace multimeditron {

int64_t ImageCache::size_of(const ImageInput& image) {
  return static_cast<int64_t>(sizeof(image) + image.pixel_values.size() * sizeof(float));
}

std::optional<ImageInput> ImageCache::find(uint64_t key) {
  std::shared_ptr<const ImageInput> image;
  {
    const std::lock_guard lock(mutex_);
    ++use_.asked;
    const auto found = images_.find(key);
    if (found == images_.end()) return std::nullopt;
    ++use_.found;
    recent_.splice(recent_.begin(), recent_, found->second);
    image = recent_.front().image;
  }
  return *image;
}

void ImageCache::add(uint64_t key, const ImageInput& image) {
  const int64_t size = size_of(image);
  if (size > size_bytes_ / 4) return;
  auto kept = std::make_shared<const ImageInput>(image);
  const std::lock_guard lock(mutex_);
  if (images_.contains(key)) return;
  recent_.push_front({key, std::move(kept)});
  images_[key] = recent_.begin();
  held_bytes_ += size;
  while (held_bytes_ > size_bytes_) {
    held_bytes_ -= size_of(*recent_.back().image);
    images_.erase(recent_.back().key);
    recent_.pop_back();
  }
}

ImageCacheUse ImageCache::use() const {
  const std::lock_guard lock(mutex_);
  return use_;
}

}  // namespace multimeditron
