#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace multimeditron {

/// A checkpoint exists whole or not at all. `write` fills a temporary folder inside `output_dir`; then a manifest (manifest.json: every
/// file with size and SHA-256) is added, everything is fsynced, and the folder is renamed to `checkpoint-STEP`. On any exception the
/// temporary folder is removed and nothing else has changed (where only the very last fsync fails, the whole new checkpoint stays). An
/// older `checkpoint-STEP` of the same step is replaced. Throws UserError where the disk refuses, and whatever `write` throws.
void write_checkpoint_folder(const std::filesystem::path& output_dir, int64_t step,
                             const std::function<void(const std::filesystem::path&)>& write);

/// `output_dir/checkpoint-STEP`
std::filesystem::path checkpoint_path(const std::filesystem::path& output_dir, int64_t step);

/// Copies a file's content into a new file, fsynced (tokenizer and config files of a checkpoint). Throws UserError.
void copy_file_synced(const std::filesystem::path& from, const std::filesystem::path& to);

/// Steps of the whole checkpoints below `output_dir` (those with a manifest whose files are all there with the right size), oldest first.
std::vector<int64_t> list_checkpoints(const std::filesystem::path& output_dir);

/// Checks every file against the manifest's hash. Throws UserError naming the first one that differs.
void verify_checkpoint(const std::filesystem::path& checkpoint);

/// Removes the oldest whole checkpoints until `limit` remain (0: keeps all), and left-over temporary folders. Each is renamed before it is
/// deleted, so a kill in between leaves no half checkpoint; what the disk then refuses to delete is warned of and left.
void prune_checkpoints(const std::filesystem::path& output_dir, int64_t limit);
void remove_leftovers(const std::filesystem::path& output_dir);

/// `path` as a checkpoint: itself if it holds a config.json (and, where it has a manifest, all of its files in full); a run's folder gives
/// its newest whole checkpoint (and says which, by note()), also that of a run of the Python original, which has no manifests. Throws
/// UserError that names the checkpoints that do exist beside a missing one.
std::filesystem::path resolve_checkpoint(const std::filesystem::path& path);

/// One run owns an output folder while this object lives (flock on `output_dir/.lock`). Throws UserError if another process has it.
class RunLock {
 public:
  explicit RunLock(const std::filesystem::path& output_dir);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int fd_ = -1;
};

/// `output_dir/STATE`: running, interrupted, finished, failed.
void write_run_state(const std::filesystem::path& output_dir, const std::string& state);
std::string read_run_state(const std::filesystem::path& output_dir);  // empty where there is none

}  // namespace multimeditron
