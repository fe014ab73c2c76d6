#include "checkpoint/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "multimeditron-checkpoint";
constexpr int64_t kVersion = 1;

/// Runs `work(0)`, ..., `work(count - 1)` on a few threads. Rethrows what the lowest index threw.
void on_threads(size_t count, const std::function<void(size_t)>& work) {
  std::vector<std::exception_ptr> errors(count);
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    const size_t num_threads = std::min({count, size_t{4}, static_cast<size_t>(std::max(1u, std::thread::hardware_concurrency()))});
    for (size_t i = 1; i < num_threads; ++i) threads.emplace_back(run);
    run();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

/// A relative path that stays inside its folder: a manifest from outside must not lead us elsewhere.
bool stays_inside(const std::string& name) {
  const fs::path path(name);
  return !name.empty() && path.is_relative() && name.find('\0') == std::string::npos &&
         std::find(path.begin(), path.end(), "..") == path.end();
}

[[noreturn]] void differs(const fs::path& file, const std::string& found) {
  throw UserError(
      "a file of the checkpoint is not what was saved",
      {.where = file.string(),
       .found = found,
       .fix = "use another checkpoint of the run (without this folder it goes on from the one before), or copy this one again from its "
              "source"});
}

}  // namespace

void seal_folder(const fs::path& folder, int64_t step) {
  std::vector<fs::path> files, folders = {folder};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    (entry.is_directory() ? folders : files).push_back(entry.path());
  std::sort(files.begin(), files.end());

  std::vector<ManifestFile> sealed(files.size());
  on_threads(files.size(), [&](size_t i) {
    // Hashing first gives the system time to write: the fsync then finds less left.
    sealed[i] = {static_cast<int64_t>(fs::file_size(files[i])), sha256_of_file(files[i])};
    sync_file(files[i]);
  });

  Json json = {{"format", kFormat}, {"version", kVersion}, {"step", step}, {"files", Json::object()}};
  for (size_t i = 0; i < files.size(); ++i)
    json["files"][files[i].lexically_relative(folder).generic_string()] = {{"size", sealed[i].size_bytes}, {"sha256", sealed[i].sha256}};
  FileWriter writer(folder / kManifestName);
  writer.write(json.dump(2) + "\n");
  writer.close();
  for (const fs::path& path : folders) sync_folder(path);
}

std::optional<Manifest> read_manifest(const fs::path& folder) {
  const fs::path file = folder / kManifestName;
  std::error_code code;
  if (!fs::exists(file, code)) return std::nullopt;
  const Json json = read_json(file);
  if (!json.is_object() || json.value("format", Json()) != kFormat) return std::nullopt;  // some other program's manifest
  const auto malformed = [&](const std::string& found) {
    throw UserError(
        "the manifest of the checkpoint is malformed",
        {.where = file.string(), .found = found, .fix = "use another checkpoint of the run, or copy this one again from its source"});
  };
  const Json version = json.value("version", Json());
  if (version != kVersion)
    throw UserError("this checkpoint was saved by another version of the program",
                    {.where = file.string(),
                     .found = fmt::format("manifest version {}, {} expected", version.dump(), kVersion),
                     .fix = "use the version that saved it, or a newer one"});
  const Json step = json.value("step", Json()), files = json.value("files", Json());
  if (!step.is_number_integer() || !files.is_object()) malformed("no `step` or no `files`");
  Manifest manifest{.step = step.get<int64_t>()};
  for (const auto& [name, entry] : files.items()) {
    if (!stays_inside(name)) malformed(fmt::format("`{}`: not a path inside the checkpoint", name));
    const Json size = entry.is_object() ? entry.value("size", Json()) : Json();
    const Json sha256 = entry.is_object() ? entry.value("sha256", Json()) : Json();
    if (!size.is_number_integer() || !sha256.is_string()) malformed(fmt::format("`{}`: no `size` or no `sha256`", name));
    manifest.files[name] = {size.get<int64_t>(), sha256.get<std::string>()};
  }
  return manifest;
}

void check_sizes(const fs::path& folder, const Manifest& manifest) {
  for (const auto& [name, file] : manifest.files) {
    std::error_code code;
    const auto size = fs::file_size(folder / name, code);
    if (code) differs(folder / name, "no such file");
    if (static_cast<int64_t>(size) != file.size_bytes)
      differs(folder / name, fmt::format("{} bytes, {} were saved", size, file.size_bytes));
  }
}

void check_hashes(const fs::path& folder, const Manifest& manifest) {
  check_sizes(folder, manifest);
  const std::vector<std::pair<std::string, ManifestFile>> files(manifest.files.begin(), manifest.files.end());
  on_threads(files.size(), [&](size_t i) {
    const std::string hash = sha256_of_file(folder / files[i].first);
    if (hash != files[i].second.sha256)
      differs(folder / files[i].first, fmt::format("SHA-256 {}, {} was saved", hash, files[i].second.sha256));
  });
}

}  // namespace multimeditron
