#include "generation/text_stream.h"

#include <span>
#include <string_view>
#include <utility>

namespace multimeditron {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

}  // namespace

std::string TextStream::decode_from(size_t first) const {
  return tokenizer_.decode(std::span(ids_).subspan(first), true);
}

std::string TextStream::push(int64_t id) {
  ids_.push_back(id);
  const std::string text = decode_from(window_);
  // Replacement characters at the end may be the beginning of a character: with byte fallback there is one for each of its bytes.
  size_t end = text.size();
  while (std::string_view(text).substr(0, end).ends_with(kReplacement)) end -= kReplacement.size();
  const std::string piece = take(text, end);
  if (end == text.size()) {
    window_ = settled_;
    settled_ = ids_.size();
    given_ = decode_from(window_).size();
  }
  return piece;
}

std::string TextStream::finish() {
  const std::string text = decode_from(window_);
  return take(text, text.size());
}

std::string TextStream::take(const std::string& text, size_t end) {
  if (end <= given_) return "";
  // Bytes that stay incomplete can turn a character given out before into replacement characters, of another length: none is cut in two.
  while (given_ < end && is_continuation(text[given_])) ++given_;
  const size_t begin = std::exchange(given_, end);
  return text.substr(begin, end - begin);
}

}  // namespace multimeditron
