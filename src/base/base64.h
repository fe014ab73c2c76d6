#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace multimeditron {

/// The bytes that standard base64 (RFC 4648, padded; white space between is passed over) stands for; nothing for what is none.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace multimeditron
