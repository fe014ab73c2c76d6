#pragma once

#include <filesystem>
#include <optional>

#include "image/image.h"

namespace multimeditron {

/// The file of the slice that `view` asks for in a folder of DICOM files of one series, each a slice: ordered by where they lie along the
/// line that they were taken on (by number, then by name, where the files do not say), from feet, back or left. Files that are not DICOM,
/// or hold no picture, are passed over. Where `base` is given, links must not lead out of it. What was found is remembered until a file of
/// the folder changes. Throws UserError: no slices, several series or directions, no such slice, another plane than `view`'s, a folder that
/// cannot be listed, a link that leaves `base`.
std::filesystem::path find_slice(const std::filesystem::path& folder, const VolumeOptions& view,
                                 const std::optional<std::filesystem::path>& base = std::nullopt);

}  // namespace multimeditron
