#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace multimeditron {

/// Deflate folds at most so many bytes into one.
inline constexpr int64_t kMostFolded = 1032;

/// Unfolds deflated bytes piece by piece, of a gzip file all members. Throws UserError "corrupt" or, where the compressed data is cut
/// short, "truncated".
class Inflater {
 public:
  enum class Format { kGzip, kRaw };
  /// `kind` is what messages call the data. `bytes` must outlive it.
  Inflater(std::span<const std::byte> bytes, Format format, std::string kind);
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Fills `out` as far as the data goes; returns how far.
  size_t read(std::span<std::byte> out);
  /// Steps over `count` bytes; false where the data ends before.
  bool skip(int64_t count);

 private:
  bool begins_a_member() const;

  z_stream stream_{};
  std::span<const std::byte> left_;
  Format format_;
  std::string kind_;
  bool is_at_end_ = false;
};

}  // namespace multimeditron
