#include "generation/text_stream.h"

#include <span>

namespace multimeditron {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

}  // namespace

std::string TextStream::decode_from(size_t first) const {
  return tokenizer_.decode(std::span(ids_).subspan(first), true);
}

std::string TextStream::push(int64_t id) {
  ids_.push_back(id);
  const std::string text = decode_from(window_);
  // A replacement character at the end may be the beginning of a character; those before it stand for good.
  const bool open = text.ends_with(kReplacement);
  const size_t end = text.size() - (open ? kReplacement.size() : 0);
  std::string piece;
  if (end > given_) {
    piece = text.substr(given_, end - given_);
    given_ = end;
  }
  if (!open) {
    window_ = settled_;
    settled_ = ids_.size();
    given_ = decode_from(window_).size();
  }
  return piece;
}

std::string TextStream::finish() {
  const std::string text = decode_from(window_);
  std::string piece = text.size() > given_ ? text.substr(given_) : std::string();
  given_ = text.size();
  return piece;
}

}  // namespace multimeditron
