#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace multimeditron {

/// Turns ids into text as they come. A character that is spread over several tokens appears once it is whole, so that every piece is valid
/// UTF-8; all pieces together are what decoding all ids at once gives (with byte fallback, as far as characters are whole: bytes that stay
/// incomplete would replace whole characters before them too). Special tokens are left out. Refers to `tokenizer`.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  /// The text that `id` completes; may be empty.
  std::string push(int64_t id);
  /// What is left at the end: replacement characters for a character that stayed incomplete.
  std::string finish();

 private:
  std::string decode_from(size_t first) const;
  /// What has not been given out of the window's `text`, up to `end`.
  std::string take(const std::string& text, size_t end);

  const Tokenizer& tokenizer_;
  std::vector<int64_t> ids_;
  size_t window_ = 0;   // decoding begins at this id: the one before what is new, for tokenizers that look at the neighbour
  size_t settled_ = 0;  // ids whose text ends with a whole character and has been given out
  size_t given_ = 0;    // bytes of the window's text that have been given out
};

}  // namespace multimeditron
