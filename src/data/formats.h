#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace multimeditron {

/// Files of lines are of another kind, and refused, where none of so many first rows can be read; otherwise a row that cannot is a bad one.
constexpr int64_t kFirstRows = 5;

/// The rows of Arrow IPC files (stream or file format), memory-mapped: of plain batches nothing is read before a row is asked for;
/// compressed ones are unpacked once when the file is opened, which finds damage.
/// `folder`: see Dataset::folder; `declared_fingerprint`: that of state.json, or empty.
std::unique_ptr<Dataset> open_arrow(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                                    const std::string& declared_fingerprint);

/// The rows of Parquet files. Row groups are read when a row is asked for; the last ones used are kept.
std::unique_ptr<Dataset> open_parquet(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder);

/// The rows of JSON-lines files, or of .json files that hold an array of objects; either may be compressed (.gz, .zst).
std::unique_ptr<Dataset> open_json(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder);

/// The rows of CSV (or, by the name .tsv, tab-separated) files with a header: `text`, `conversations` and `modalities` as JSON, `image`.
std::unique_ptr<Dataset> open_csv(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder);

/// A folder that `datasets.save_to_disk` has written, by its state.json; `_indices_files` of old versions are honoured.
std::unique_ptr<Dataset> open_saved_folder(const std::filesystem::path& folder);

/// Image files below `folder` and relative to it, a row each: an image without a text, for classes of images.
std::unique_ptr<Dataset> open_image_folder(std::vector<std::filesystem::path> files, const std::filesystem::path& folder);
/// By the end of its name, in either case.
bool is_image_name(const std::filesystem::path& file);

/// What to do with conversations of {from, value} (ShareGPT, LLaVA) and with `messages` (OpenAI).
inline constexpr const char* kConvertRows = "convert the rows as docs/data.md shows (Rows of other programs)";

/// Throws UserError unless `file` is an ordinary file: a pipe or a device would block or never end.
void require_regular_file(const std::filesystem::path& file);

/// Names, sizes and a sample of the bytes of `files`: the same after a copy to another place, another one after most changes.
std::string fingerprint_of_files(const std::vector<std::filesystem::path>& files);
/// The same of all bytes, for files that are read through when they are opened.
std::string fingerprint_of_texts(const std::vector<std::filesystem::path>& files);

}  // namespace multimeditron
