#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "doctor/findings.h"
#include "doctor/perceptual_hash.h"

namespace multimeditron {

/// A row of one of the data sets that are looked at together.
struct RowPlace {
  uint32_t data_set = 0;
  int64_t row = 0;
  auto operator<=>(const RowPlace&) const = default;
};

/// "JPEG", "PNG", "TIFF", "DICOM" ...: by the first bytes; "unknown".
const char* image_format(std::string_view bytes);

/// What is kept of an image file.
struct ImageFacts {
  std::string problem;  ///< why it cannot be decoded; then only format and bytes are known
  const char* format = "";
  int64_t bytes = 0, width = 0, height = 0;
  bool is_sixteen_bit_grey = false, is_flat = false;
  uint64_t hash = 0;  ///< perceptual_hash
};

/// Every different image file of some data sets, decoded once (and once more for each other way of decoding that is asked for), however
/// many rows show it. About 220 bytes an image. May be used from many threads.
class ImageBook {
 public:
  static constexpr size_t kFirst = 3;
  struct Image {
    uint64_t content = 0;  ///< content_hash() of its bytes
    ImageFacts facts;
    std::unique_ptr<Miniature> miniature;  ///< where asked for
    int64_t uses = 0;
    std::array<RowPlace, kFirst> first;  ///< the first rows that use it, min(uses, kFirst) of them in order
    std::once_flag looked_at;
  };
  /// What else is to be done with an image when it is first decoded.
  using OnNew = std::function<void(const Image& image, const Miniature& miniature)>;

  /// `keeps_miniatures`: for the images that others are compared with.
  explicit ImageBook(bool keeps_miniatures = false, OnNew on_new = {}) : keeps_miniatures_(keeps_miniatures), on_new_(std::move(on_new)) {}

  /// The image with these bytes, decoded by these options, which row `place` uses. The reference stays valid; `uses` and `first` are final
  /// once all rows are read.
  const Image& look(std::string_view bytes, RowPlace place, const DecodeOptions& options = {});

  /// All images, ordered by their first row; one for each way of decoding.
  std::vector<const Image*> images() const;

 private:
  static constexpr size_t kShards = 64;
  struct Shard {
    std::mutex mutex;
    std::unordered_map<uint64_t, std::unique_ptr<Image>> images;  ///< by content and way of decoding
  };
  bool keeps_miniatures_;
  OnNew on_new_;
  std::array<Shard, kShards> shards_;
};

}  // namespace multimeditron
