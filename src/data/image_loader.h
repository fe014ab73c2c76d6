#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "data/dataset.h"
#include "image/processor.h"

namespace multimeditron {

/// The encoded bytes of an attachment, as the loader of its modality says: `raw-*` takes the bytes that the data set holds (where it
/// holds a path only, the file below `folder`), `fs-*` the file below `base_path` (`folder` where it has none), `fs-volume` also one slice
/// of a folder of DICOM files. Throws UserError without the row: no loader for the type, a missing file, a path that leaves its folder.
std::string load_attachment(const Attachment& attachment, std::span<const LoaderSpec> loaders, const std::filesystem::path& folder);

/// How the loader of attachments of `type` wants its images decoded. `processor` is what they go into, for `fast_decode`; null: not known.
DecodeOptions decode_options(const std::string& type, std::span<const LoaderSpec> loaders, const ImageProcessor* processor);

/// The image in `bytes`, which load_attachment() gave for an attachment of `type`, decoded as its loader wants it. `dataset`, `index`: the
/// row, of whose data set a note on 16-bit grey tells.
RgbImage decode_attachment(const std::string& bytes, const std::string& type, std::span<const LoaderSpec> loaders, const Dataset& dataset,
                           int64_t index, const ImageProcessor* processor);

/// What load_attachment and read_image_file say of a missing file; where it was looked for stands in `found`.
inline constexpr const char* kImageIsMissing = "an image file is missing";

/// The file `path` below `folder`. Throws UserError for a missing file, for a path that leaves the folder (`..`, absolute, through a link),
/// and for what is no ordinary file, which is never opened.
std::string read_image_file(const std::filesystem::path& folder, const std::string& path);

/// What a recipe's or the command line's words for scans mean.
VolumeOptions volume_options(const ScanView& scan);

/// Throws UserError for a loader whose `base_path` is no folder: each of its images would be missing.
void require_image_folders(std::span<const LoaderSpec> loaders, const std::filesystem::path& recipe_file);

}  // namespace multimeditron
