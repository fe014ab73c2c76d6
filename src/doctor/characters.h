#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace multimeditron {

/// The character at `at`, which moves behind it; U+FFFD for a byte that begins none.
char32_t next_character(std::string_view text, size_t& at);

void add_character(std::string& text, char32_t character);

/// The first `most` characters of `text`, with an ellipsis where something was cut off.
std::string shortened(std::string_view text, size_t most);

}  // namespace multimeditron
