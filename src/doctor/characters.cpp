#include "doctor/characters.h"

#include <cstdint>

namespace multimeditron {
namespace {

/// Length of the character that begins at `at`, or 0.
size_t decode(std::string_view text, size_t at, char32_t& character) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) {
    character = lead;
    return 1;
  }
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < size) return 0;
  character = lead & (0xff >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (character < kLeast[size] || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) return 0;
  return size;
}

}  // namespace

char32_t next_character(std::string_view text, size_t& at) {
  char32_t character = 0;
  const size_t size = decode(text, at, character);
  at += size == 0 ? 1 : size;
  return size == 0 ? 0xfffd : character;
}

void add_character(std::string& text, char32_t c) {
  const auto put = [&](char32_t value) { text += static_cast<char>(value); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

std::string shortened(std::string_view text, size_t most) {
  size_t at = 0;
  for (size_t count = 0; at < text.size() && count < most; ++count) next_character(text, at);
  std::string result(text.substr(0, at));
  if (at < text.size()) result += "\xe2\x80\xa6";
  return result;
}

}  // namespace multimeditron
