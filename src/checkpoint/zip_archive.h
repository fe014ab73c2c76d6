#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace multimeditron {

/// The entries of a zip archive whose content is stored as it is (torch.save compresses nothing), by name: views of `file`. Sizes of zip64
/// are understood. Throws UserError without the file's name for what is truncated, malformed, compressed or encrypted.
std::map<std::string, std::span<const std::byte>> read_stored_zip(std::span<const std::byte> file);

}  // namespace multimeditron
