#include "image/inflate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>

#include "image/codec.h"

namespace multimeditron {

Inflater::Inflater(std::span<const std::byte> bytes, Format format, std::string kind)
    : left_(bytes), format_(format), kind_(std::move(kind)) {
  if (inflateInit2(&stream_, format_ == Format::kGzip ? 16 + MAX_WBITS : -MAX_WBITS) != Z_OK) throw std::bad_alloc();
}

size_t Inflater::read(std::span<std::byte> out) {
  constexpr size_t kMost = std::numeric_limits<uInt>::max();
  size_t filled = 0;
  while (filled < out.size() && !is_at_end_) {
    if (stream_.avail_in == 0) {
      const size_t step = std::min(left_.size(), kMost);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(left_.data()));
      stream_.avail_in = static_cast<uInt>(step);
      left_ = left_.subspan(step);
    }
    const auto room = static_cast<uInt>(std::min(out.size() - filled, kMost));
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
    stream_.avail_out = room;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    filled += room - stream_.avail_out;
    if (result == Z_STREAM_END) {
      is_at_end_ = !begins_a_member();
      if (!is_at_end_ && inflateReset(&stream_) != Z_OK) throw std::bad_alloc();
    } else if (result == Z_BUF_ERROR) {  // neither input nor progress
      throw truncated_image(kind_, "its compressed data ends before its end mark");
    } else if (result != Z_OK) {
      throw corrupt_image(kind_, fmt::format("zlib: {}", stream_.msg != nullptr ? stream_.msg : zError(result)));
    }
  }
  return filled;
}

/// A gzip file may be several one after the other, as bgzip and `cat` write it; what else stands behind its end is nothing.
bool Inflater::begins_a_member() const {
  const Bytef* next = stream_.next_in;  // what is left lies in one piece
  return format_ == Format::kGzip && stream_.avail_in + left_.size() >= 2 && next[0] == 0x1f && next[1] == 0x8b;
}

bool Inflater::skip(int64_t count) {
  std::array<std::byte, 1 << 15> scratch;
  while (count > 0) {
    const size_t step = static_cast<size_t>(std::min<int64_t>(count, scratch.size()));
    if (read(std::span(scratch).first(step)) < step) return false;
    count -= static_cast<int64_t>(step);
  }
  return true;
}

}  // namespace multimeditron
