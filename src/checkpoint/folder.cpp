#include "checkpoint/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/manifest.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

/// N of "checkpoint-N" as we write it: no sign, no leading zero.
std::optional<int64_t> step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "checkpoint-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [last, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (error != std::errc() || last != end || step < 0 || name != fmt::format("checkpoint-{}", step)) return std::nullopt;
  return step;
}

/// ".checkpoint-10.tmp-1234" (being written) and ".checkpoint-10.old-1234" (being deleted): never taken for a checkpoint.
bool is_leftover(const std::string& name) {
  if (name.starts_with(".checkpoint-")) return name.find(".tmp-") != std::string::npos || name.find(".old-") != std::string::npos;
  return name.starts_with("STATE.tmp-");
}

bool is_whole(const fs::path& checkpoint) {
  try {
    const std::optional<Manifest> manifest = read_manifest(checkpoint);
    if (!manifest) return false;
    check_sizes(checkpoint, *manifest);
    return true;
  } catch (const UserError&) {
    return false;
  }
}

/// What is out of sight already may stay (another machine holds a file of it open): what was saved stands, and the next call tries again.
void delete_out_of_sight(const fs::path& path) {
  std::error_code code;
  fs::remove_all(path, code);
  if (code) warn(fmt::format("cannot delete {}: {}", path.string(), code.message()));
}

/// Out of sight by one rename, then deleted at leisure.
void set_aside_and_delete(const fs::path& folder, int64_t step) {
  const fs::path aside = folder.parent_path() / fmt::format(".checkpoint-{}.old-{}", step, ::getpid());
  std::error_code code;
  fs::remove_all(aside, code);
  if (::rename(folder.c_str(), aside.c_str()) != 0) throw_file_error("rename", folder, errno);
  delete_out_of_sight(aside);
}

/// Gives `temporary` the name `final`. What stood there before (a broken checkpoint of the same step, or that of a run begun anew)
/// changes places with it in the same instant.
void put_in_place(const fs::path& temporary, const fs::path& final_path, int64_t step) {
  std::error_code code;
  if (!fs::exists(fs::symlink_status(final_path, code))) {
    if (::rename(temporary.c_str(), final_path.c_str()) != 0) throw_file_error("rename", temporary, errno);
    return;
  }
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(temporary, code);
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) throw_file_error("rename", temporary, errno);
  set_aside_and_delete(final_path, step);  // a file system that cannot exchange
  if (::rename(temporary.c_str(), final_path.c_str()) != 0) throw_file_error("rename", temporary, errno);
}

}  // namespace

fs::path checkpoint_path(const fs::path& output_dir, int64_t step) {
  return output_dir / fmt::format("checkpoint-{}", step);
}

void write_checkpoint_folder(const fs::path& output_dir, int64_t step, const std::function<void(const fs::path&)>& write) {
  const fs::path temporary = output_dir / fmt::format(".checkpoint-{}.tmp-{}", step, ::getpid());
  try {
    fs::create_directories(output_dir);
    fs::remove_all(temporary);
    fs::create_directory(temporary);
    write(temporary);
    seal_folder(temporary, step);
    put_in_place(temporary, checkpoint_path(output_dir, step), step);
    sync_folder(output_dir);
  } catch (const fs::filesystem_error& error) {
    std::error_code code;
    fs::remove_all(temporary, code);
    throw_file_error("write", error.path1(), error.code().value());
  } catch (...) {
    std::error_code code;
    fs::remove_all(temporary, code);
    throw;
  }
}

std::vector<int64_t> list_checkpoints(const fs::path& output_dir) {
  std::vector<int64_t> steps;
  std::error_code code;
  for (fs::directory_iterator it(output_dir, code), end; !code && it != end; it.increment(code)) {
    const std::optional<int64_t> step = step_of(it->path().filename().string());
    if (step && is_whole(it->path())) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void verify_checkpoint(const fs::path& checkpoint) {
  const std::optional<Manifest> manifest = read_manifest(checkpoint);
  if (!manifest)
    throw UserError("this folder is not a whole checkpoint",
                    {.where = checkpoint.string(), .found = "no manifest.json, which is written last", .fix = "use another checkpoint"});
  check_hashes(checkpoint, *manifest);
}

void prune_checkpoints(const fs::path& output_dir, int64_t limit) {
  remove_leftovers(output_dir);
  if (limit <= 0) return;
  const std::vector<int64_t> steps = list_checkpoints(output_dir);
  for (size_t i = 0; i + static_cast<size_t>(limit) < steps.size(); ++i)
    set_aside_and_delete(checkpoint_path(output_dir, steps[i]), steps[i]);
}

void remove_leftovers(const fs::path& output_dir) {
  std::vector<fs::path> leftovers;
  std::error_code code;
  for (fs::directory_iterator it(output_dir, code), end; !code && it != end; it.increment(code)) {
    if (is_leftover(it->path().filename().string())) leftovers.push_back(it->path());
  }
  for (const fs::path& path : leftovers) delete_out_of_sight(path);
}

void copy_file_synced(const fs::path& from, const fs::path& to) {
  FileWriter writer(to);
  read_blocks(from, [&](std::span<const std::byte> block) { writer.write(block); });
  writer.close();
}

}  // namespace multimeditron
