#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace multimeditron {

/// SHA-256 in lower-case hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);
inline std::string sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text.data(), text.size()))); }
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace multimeditron
