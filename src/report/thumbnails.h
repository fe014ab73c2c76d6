#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "image/image.h"

namespace multimeditron {

/// "data:image/jpeg;base64,...": `image` scaled down so that no side is longer than `longest_side`, as JPEG of `quality` or as PNG where
/// that is smaller. Of the file it came from nothing but the pixels is left.
std::string image_uri(const RgbImage& image, int64_t longest_side, int quality);

/// The page's images, small, each once however often it is used and under however many names. All together stay within a number of bytes:
/// where there are many, or where they are hard to compress, they become coarser.
class Thumbnails {
 public:
  static constexpr int64_t kLongestSide = 160;
  static constexpr size_t kTotalBytes = 12'000'000;  ///< as base64; with 2,000 samples' texts the page then is below 15 MB

  /// `max_images`: how many different files will be asked for at most.
  explicit Thumbnails(size_t max_images, size_t total_bytes = kTotalBytes) : images_left_(max_images), bytes_left_(total_bytes) {}

  /// The image's place in uris(), or -1 where the file is missing, no regular one or cannot be decoded.
  int64_t add(const std::filesystem::path& file);
  const std::vector<std::string>& uris() const { return uris_; }

 private:
  int64_t add_content(const std::string& content);

  std::map<std::string, int64_t> by_path_, by_hash_;
  std::vector<std::string> uris_;
  size_t images_left_, bytes_left_;
};

}  // namespace multimeditron
