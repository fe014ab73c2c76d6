#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace multimeditron {

/// Bytes of the UTF-8 character that begins with `lead`.
size_t size_of_character(unsigned char lead);

/// The character at byte `at` of valid UTF-8.
char32_t character_at(std::string_view text, size_t at);

/// Appends a character beyond the basic plane (four bytes).
void append_character(std::string& text, char32_t character);

/// Whether a byte continues a character.
inline bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

/// What Python's str.strip() takes away.
bool is_blank(char32_t character);

/// The first byte from `at` on that does not begin a blank.
size_t skip_blanks(std::string_view text, size_t at);

/// A text as blanks, body, blanks; one of blanks alone is all `lead`.
struct BlankSplit {
  std::string_view lead, body, trail;
};
BlankSplit split_blanks(std::string_view text);

}  // namespace multimeditron
