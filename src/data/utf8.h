#pragma once

#include <string_view>

namespace multimeditron {

/// Whether `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

/// Throws UserError where a file's text begins as UTF-16 does: of it every line would be damaged.
void refuse_utf16(std::string_view text);

}  // namespace multimeditron
