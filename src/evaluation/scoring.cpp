#include "evaluation/scoring.h"

#include <clocale>
#include <cstdint>
#include <cwctype>

namespace multimeditron {
namespace {

/// The character that begins at `text[0]`, and its bytes; a byte that begins none stands for itself.
struct Character {
  uint32_t code = 0;
  size_t size = 1;
  bool is_whole = false;
};

Character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (size == 0 || size > text.size()) return {lead, 1, false};
  uint32_t code = size == 1 ? lead : lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return {lead, 1, false};
    code = code << 6 | (byte & 0x3f);
  }
  return {code, size, true};
}

void append(std::string& text, uint32_t code) {
  if (code < 0x80) {
    text += static_cast<char>(code);
    return;
  }
  const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  text += static_cast<char>((extra == 1 ? 0xc0 : extra == 2 ? 0xe0 : 0xf0) | code >> 6 * extra);
  for (int i = extra - 1; i >= 0; --i) text += static_cast<char>(0x80 | (code >> 6 * i & 0x3f));
}

bool is_space(uint32_t code) {
  return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20) || code == 0x85 || code == 0xa0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/// Does not depend on the user's locale. The object lives as long as the program.
uint32_t lower(uint32_t code) {
  static const locale_t unicode = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (unicode == nullptr || code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
  return static_cast<uint32_t>(::towlower_l(static_cast<wint_t>(code), unicode));
}

std::string_view stripped_at_end(std::string_view text) {
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 4 && (static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) --start;
    const Character last = first_of(text.substr(start));
    if (!last.is_whole || start + last.size != text.size() || !is_space(last.code)) break;
    text.remove_suffix(last.size);
  }
  return text;
}

}  // namespace

std::string_view stripped(std::string_view text) {
  while (!text.empty()) {
    const Character first = first_of(text);
    if (!first.is_whole || !is_space(first.code)) break;
    text.remove_prefix(first.size);
  }
  return stripped_at_end(text);
}

std::string normalised_answer(std::string_view text) {
  text = stripped(text);
  if (text.ends_with('.')) text.remove_suffix(1);
  text = stripped_at_end(text);
  std::string result;
  while (!text.empty()) {
    const Character next = first_of(text);
    if (next.is_whole) {
      append(result, lower(next.code));
    } else {
      result += text[0];
    }
    text.remove_prefix(next.size);
  }
  return result;
}

double exact_match(std::string_view answer, std::string_view reference) {
  const std::string normalised = normalised_answer(answer);
  return !normalised.empty() && normalised == normalised_answer(reference) ? 1 : 0;
}

bool is_yes_no(std::string_view reference) {
  const std::string normalised = normalised_answer(reference);
  return normalised == "yes" || normalised == "no";
}

}  // namespace multimeditron
