#include "text/utf8.h"

#include <algorithm>

namespace multimeditron {

size_t size_of_character(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

char32_t character_at(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t size = std::min(size_of_character(lead), text.size() - at);
  char32_t character = size == 1 ? lead : lead & (0xff >> (size + 1));
  for (size_t i = 1; i < size; ++i) character = character << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
  return character;
}

void append_character(std::string& text, char32_t character) {
  text += static_cast<char>(0xf0 | character >> 18);
  for (int shift : {12, 6, 0}) text += static_cast<char>(0x80 | (character >> shift & 0x3f));
}

bool is_blank(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

size_t skip_blanks(std::string_view text, size_t at) {
  while (at < text.size() && is_blank(character_at(text, at))) at += size_of_character(static_cast<unsigned char>(text[at]));
  return std::min(at, text.size());
}

BlankSplit split_blanks(std::string_view text) {
  const size_t start = skip_blanks(text, 0);
  size_t end = start;
  for (size_t at = start; at < text.size();) {
    const size_t next = std::min(text.size(), at + size_of_character(static_cast<unsigned char>(text[at])));
    if (!is_blank(character_at(text, at))) end = next;
    at = next;
  }
  return {text.substr(0, start), text.substr(start, end - start), text.substr(end)};
}

}  // namespace multimeditron
