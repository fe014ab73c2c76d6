#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/suggest.h"
#include "checkpoint/folder.h"
#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code code;
  return fs::is_regular_file(path, code);
}

/// Steps of all folders "checkpoint-N" below `run`, whole or not, newest first.
std::vector<int64_t> steps_below(const fs::path& run) {
  std::vector<int64_t> steps;
  std::error_code code;
  for (fs::directory_iterator it(run, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    int64_t step = 0;
    if (!name.starts_with("checkpoint-")) continue;
    std::from_chars(name.data() + std::string_view("checkpoint-").size(), name.data() + name.size(), step);
    if (it->path() == checkpoint_path(run, step)) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

/// Throws UserError where the checkpoint lacks something. Ours have a manifest; those of the Python original have none: there the weights'
/// own headers tell whether the files are complete.
void check_whole(const fs::path& checkpoint) {
  if (!is_file(checkpoint / "config.json"))
    throw UserError("this folder is not a checkpoint", {.where = checkpoint.string(), .found = "no config.json", .fix = "check the path"});
  if (const std::optional<Manifest> manifest = read_manifest(checkpoint)) {
    check_sizes(checkpoint, *manifest);
  } else {
    SafetensorsReader reader(checkpoint);
  }
}

fs::path newest_of_run(const fs::path& run, const std::vector<int64_t>& steps) {
  const bool is_ours = is_file(run / "run.json");  // then a manifest, which is written last, is part of a whole checkpoint
  std::optional<UserError> newest_fault;
  for (const int64_t step : steps) {
    const fs::path checkpoint = checkpoint_path(run, step);
    try {
      check_whole(checkpoint);
      if (is_ours && !is_file(checkpoint / kManifestName))
        throw UserError("this folder is not a whole checkpoint",
                        {.where = checkpoint.string(), .found = "no manifest.json", .fix = "use another checkpoint of the run"});
    } catch (const UserError& error) {
      if (!newest_fault) newest_fault = error;
      warn(fmt::format("{} is not whole and is passed over ({}: {})", checkpoint.string(), error.details().where, error.details().found));
      continue;
    }
    note(fmt::format("{} is a run: taking its newest checkpoint, {}", run.string(), checkpoint.filename().string()));
    return checkpoint;
  }
  throw *newest_fault;
}

[[noreturn]] void missing(const fs::path& path) {
  const fs::path absolute = fs::absolute(path).lexically_normal();
  const fs::path without_slash = absolute.has_filename() ? absolute : absolute.parent_path();
  std::vector<std::string> beside, names;
  for (const int64_t step : steps_below(without_slash.parent_path())) beside.insert(beside.begin(), fmt::format("checkpoint-{}", step));
  if (!beside.empty())
    throw UserError("there is no such checkpoint", {.where = path.string(),
                                                    .found = fmt::format("in that run: {}", fmt::join(beside, ", ")),
                                                    .fix = "name one of these, or the run's folder for the newest"});
  std::error_code code;
  for (fs::directory_iterator it(without_slash.parent_path(), code), end; !code && it != end; it.increment(code))
    names.push_back(it->path().filename().string());
  const std::optional<std::string> near = nearest(without_slash.filename().string(), names);
  throw UserError("there is no such checkpoint",
                  {.where = path.string(),
                   .found = "no such folder",
                   .fix = near ? fmt::format("did you mean {}?", (without_slash.parent_path() / *near).string()) : "check the path"});
}

}  // namespace

fs::path resolve_checkpoint(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path, code)) missing(path);
  if (!fs::is_directory(path, code))
    throw UserError("a checkpoint is a folder", {.where = path.string(), .found = "a file", .fix = "name the folder it is in"});
  if (is_file(path / "config.json")) {
    if (const std::optional<Manifest> manifest = read_manifest(path)) check_sizes(path, *manifest);
    return path;
  }
  const std::vector<int64_t> steps = steps_below(path);
  if (steps.empty())
    throw UserError("this folder is neither a checkpoint nor a run",
                    {.where = path.string(), .found = "no config.json, and no folder checkpoint-STEP", .fix = "check the path"});
  return newest_of_run(path, steps);
}

}  // namespace multimeditron
