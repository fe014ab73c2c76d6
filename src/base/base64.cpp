#include "base/base64.h"

#include <cstdint>

namespace multimeditron {
namespace {

/// 0 to 63, or -1 for a character outside the alphabet.
int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int digits = 0, padding = 0;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    const int digit = digit_of(c);
    if (c == '=' && digits + padding < 4 && digits >= 2) {
      ++padding;
    } else if (digit < 0 || padding > 0) {
      return std::nullopt;
    } else {
      bits = bits << 6 | static_cast<uint32_t>(digit);
      ++digits;
    }
    if (digits + padding < 4) continue;
    bits <<= 6 * padding;
    for (int i = 0; i < 3 - padding; ++i) bytes += static_cast<char>(bits >> (16 - 8 * i) & 0xff);
    if (padding == 0) digits = 0;
    bits = 0;
  }
  // Four digits with padding are the last ones; fewer than four are a piece cut off.
  if (digits != 0 && digits + padding != 4) return std::nullopt;
  return bytes;
}

}  // namespace multimeditron
