#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace multimeditron {

/// The rows of Arrow IPC files (stream or file format), memory-mapped: nothing is read before a row is asked for.
/// `folder`: see Dataset::folder; `declared_fingerprint`: that of state.json, or empty.
std::unique_ptr<Dataset> open_arrow(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                                    const std::string& declared_fingerprint);

/// The rows of Parquet files. Row groups are read when a row is asked for; the last ones used are kept.
std::unique_ptr<Dataset> open_parquet(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder);

/// The rows of JSON-lines files, or of .json files that hold an array of objects.
std::unique_ptr<Dataset> open_json(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder);

/// Names, sizes and a sample of the bytes of `files`: the same after a copy to another place, another one after most changes.
std::string fingerprint_of_files(const std::vector<std::filesystem::path>& files);

}  // namespace multimeditron
