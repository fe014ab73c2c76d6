#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "cli/engine.h"
#include "data/preprocess.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

/// "packed.old-1", the first of these names that is free.
void set_old_aside(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path, code)) return;
  for (int i = 1;; ++i) {
    const fs::path aside = path.string() + fmt::format(".old-{}", i);
    if (fs::exists(aside, code)) continue;
    fs::rename(path, aside);
    note(fmt::format("{} is now {}", path.string(), aside.string()));
    return;
  }
}

/// One call owns an output while this lives: by a lock on the empty file `packed.lock` beside it, which goes at the end.
class OutputLock {
 public:
  explicit OutputLock(const fs::path& output) : file_(output.string() + ".lock") {
    std::error_code code;
    if (output.has_parent_path()) fs::create_directories(output.parent_path(), code);
    for (; fd_ < 0; give_up_removed()) {
      fd_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
      if (fd_ < 0) throw_file_error("create", file_, errno);
      if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) continue;
      if (errno != EWOULDBLOCK) {
        warn(fmt::format("{}: this file system has no locks ({}); see to it that no other process writes this output", output.string(),
                         std::strerror(errno)));
        return;
      }
      ::close(fd_);
      throw UserError("another process is writing this output", {.where = output.string(),
                                                                 .found = fmt::format("{} is locked", file_.string()),
                                                                 .fix = "wait for it or stop it, or choose another `--output`"});
    }
  }
  ~OutputLock() {
    struct stat mine {};
    if (::fstat(fd_, &mine) == 0 && mine.st_size == 0) ::unlink(file_.c_str());  // else it is not ours
    ::close(fd_);
  }
  OutputLock(const OutputLock&) = delete;
  OutputLock& operator=(const OutputLock&) = delete;

 private:
  /// Another call may have ended, and removed the file, between our opening and our locking it.
  void give_up_removed() {
    struct stat mine {};
    struct stat there {};
    if (::fstat(fd_, &mine) == 0 && ::stat(file_.c_str(), &there) == 0 && mine.st_ino == there.st_ino) return;
    ::close(fd_);
    fd_ = -1;
  }

  fs::path file_;
  int fd_ = -1;
};

PreprocessOptions options_of(const PreprocessJob& job) {
  using OnBad = PreprocessOptions::OnBad;
  PreprocessOptions options{.output = fs::path(job.output).lexically_normal(),
                            .format = job.format == "parquet" ? ShardFormat::kParquet : ShardFormat::kArrow,
                            .shard_bytes = job.shard_bytes,
                            .image_folder = job.image_folder,
                            .attachment_token = job.attachment_token,
                            .any_text = job.any_text,
                            .on_bad = job.on_bad == "skip"   ? OnBad::kSkip
                                      : job.on_bad == "fail" ? OnBad::kFail
                                                             : OnBad::kQuarantine,
                            .max_bad_samples = job.max_bad_samples,
                            .head = job.head,
                            .shuffle_seed = job.shuffle_seed,
                            .num_shards = job.num_shards,
                            .shard_id = job.shard_id,
                            .workers = static_cast<int>(job.workers)};
  if (!options.output.has_filename()) options.output = options.output.parent_path();
  if (options.workers == 0) options.workers = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return options;
}

void run_job(const PreprocessJob& job, const PreprocessCommand& command, Progress& progress) {
  const PreprocessOptions options = options_of(job);
  std::error_code code;
  if (!options.image_folder.empty() && !fs::is_directory(options.image_folder, code)) {
    throw UserError("the folder of the images is not there",
                    {.where = "--image-folder", .found = options.image_folder.string(), .fix = "correct it"});
  }
  std::vector<DatasetSpec> specs;
  for (const std::string& source : job.sources) specs.push_back({.packed_path = source, .weight = {}, .max_samples = {}});
  const std::unique_ptr<Dataset> dataset = open_datasets(specs, command.config, job.source_key);
  const OutputLock lock(options.output);
  const fs::path work = partial_folder(options.output);
  if (command.fresh) {
    set_old_aside(work);
    set_old_aside(options.output);
    if (options.output.extension() == ".parquet")
      for (const char* name : {".json", ".quarantine.jsonl"}) set_old_aside(options.output.string() + name);
  }
  std::string sources;
  for (const std::string& source : job.sources) sources += (sources.empty() ? "" : ", ") + source;
  progress.header("preprocess", {{"data", fmt::format("{}: {} rows", sources, format_count(dataset->size()))},
                                 {"output", fmt::format("{} ({})", options.output.string(), job.format)},
                                 {"workers", std::to_string(options.workers)}});
  const auto start = std::chrono::steady_clock::now();
  const PreprocessResult result = preprocess(
      *dataset, options,
      [&](int64_t done, int64_t total) {
        progress.count({"rows", done, total});
      },
      stop_requested);
  if (result.was_done) fs::remove(work, code);  // which a kill may have left empty
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string title = result.was_done ? "was finished already" : "finished";
  std::vector<std::pair<std::string, std::string>> rows = {
      {"rows", format_count(result.rows)},
      {"images", format_count(result.images)},
      {"files", fmt::format("{}, {}", result.shards, format_bytes(result.bytes))},
      {"time", fmt::format("{}{}", format_duration(seconds),
                           result.kept_shards > 0 ? fmt::format(" ({} files were there)", result.kept_shards) : "")},
      {"written", options.output.string()}};
  if (result.bad > 0) {
    const std::string list = options.output.extension() == ".parquet" ? options.output.string() + ".quarantine.jsonl"
                                                                      : (options.output / "quarantine.jsonl").string();
    rows.insert(rows.begin() + 1, {"left out", fmt::format("{}, listed in {}{}", format_count(result.bad), list,
                                                           result.was_done ? "; --fresh tries them again" : "")});
  }
  if (command.mode == OutputMode::kJson) {
    progress.event(title, {{"event", "preprocessed"},
                           {"output", options.output.string()},
                           {"rows", result.rows},
                           {"images", result.images},
                           {"bad", result.bad},
                           {"bytes", result.bytes},
                           {"files", result.shards},
                           {"was_done", result.was_done}});
  }
  progress.summary(title, rows);
}

}  // namespace

int run_preprocess(const PreprocessCommand& command) {
  install_stop_signals();
  Progress progress(command.mode);
  for (const PreprocessJob& job : command.jobs) run_job(job, command, progress);
  return kExitDone;
}

}  // namespace multimeditron
