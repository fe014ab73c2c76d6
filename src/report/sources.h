#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace multimeditron {

/// A folder that the page tells about, and the name it has there.
struct Source {
  std::filesystem::path folder;
  std::string name;  ///< relative to the folder that was given
};

struct Sources {
  std::string title;                ///< the names of the folders that were given
  std::vector<Source> demos;        ///< with a demo.json
  std::vector<Source> runs;         ///< with a metrics.jsonl, or a recipe.yaml and a STATE
  std::vector<Source> evaluations;  ///< with a results.json
};

/// Each of `folders` itself and what lies at most two levels below it, or below a demo there, by name and once; runs that `train --fresh`
/// set aside are passed over. Throws UserError where one is missing or holds none of these.
Sources find_sources(std::span<const std::filesystem::path> folders);

/// The file's content; nothing where there is no file, or a pipe or device, which might have no end.
std::string content_or_nothing(const std::filesystem::path& file);

}  // namespace multimeditron
