#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace multimeditron {

/// What `manifest.json` of a checkpoint says of one file.
struct ManifestFile {
  int64_t size_bytes = 0;
  std::string sha256;
};

/// Size and hash of every other file below a checkpoint's folder, by path relative to it ("training_state/optimizer.safetensors").
struct Manifest {
  int64_t step = 0;
  std::map<std::string, ManifestFile> files;
};

inline constexpr const char* kManifestName = "manifest.json";

/// Hashes and fsyncs all files and folders below `folder`, several files at once (the pages are still in memory, so this costs a fraction
/// of having written them), and writes manifest.json, fsynced too. Throws UserError.
void seal_folder(const std::filesystem::path& folder, int64_t step);

/// The manifest of `folder`; nothing where it has none (a checkpoint of another program). Throws UserError where it is malformed.
std::optional<Manifest> read_manifest(const std::filesystem::path& folder);

/// Checks that the manifest's files are there with the right size: quick, the content is not read. Throws UserError naming the first that
/// is not.
void check_sizes(const std::filesystem::path& folder, const Manifest& manifest);

/// As check_sizes, and the hash of every file. Throws UserError naming the first (by name) that differs.
void check_hashes(const std::filesystem::path& folder, const Manifest& manifest);

}  // namespace multimeditron
