#include "training/run_folder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/process.h"
#include "recipe/recipe.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

void create(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code || !fs::is_directory(path)) {
    throw UserError("cannot create the output folder", {.where = path.string(),
                                                        .found = code ? code.message() : "a file of that name",
                                                        .fix = "choose another `output_dir`, or mend its permissions"});
  }
}

/// Whether there is a checkpoint of whatever program in it, even a broken one: a save would replace what has its name.
bool has_checkpoints(const fs::path& path) {
  return std::any_of(fs::directory_iterator(path), fs::directory_iterator(),
                     [](const fs::directory_entry& entry) { return entry.path().filename().string().starts_with("checkpoint-"); });
}

void set_aside(const fs::path& path) {
  for (int k = 1;; ++k) {
    const fs::path target = fmt::format("{}.old-{}", path.string(), k);
    if (fs::exists(target)) continue;
    std::error_code code;
    fs::rename(path, target, code);
    if (code) throw UserError("cannot set the old output folder aside", {.where = path.string(), .found = code.message()});
    note(fmt::format("the old output folder is now {}", target.string()));
    return;
  }
}

}  // namespace

RunFolder::RunFolder(RunIdentity identity, bool fresh, int64_t micro_batches_per_step)
    : identity_(std::move(identity)),
      path_(identity_.output_dir.lexically_normal()),
      micro_batches_per_step_(micro_batches_per_step),
      start_date_(today_iso_date()) {
  if (!path_.has_filename()) path_ = path_.parent_path();  // "out/" names "out"
  for (fs::path folder = path_; !folder.empty() && !fs::exists(folder); folder = folder.parent_path()) made_.push_back(folder);
  create(path_);
  lock_ = std::make_unique<RunLock>(path_);
  const fs::path file = path_ / "run.json";
  holds_old_run_ = fresh && fs::exists(file);
  if (holds_old_run_) return;
  if (!fs::exists(file)) {
    if (has_checkpoints(path_) || fs::exists(path_ / "trainer_state.json")) {
      throw UserError("the output folder holds checkpoints of another program or run",
                      {.where = path_.string(), .found = "checkpoints, but no run.json", .fix = "choose another `output_dir`"});
    }
    return;
  }
  const Json json = read_json(file);
  const auto refuse = [&](const std::string& found) {
    return UserError("the run's record cannot be read",
                     {.where = file.string(), .found = found, .fix = "undo the edit of this file, or set the run aside with --fresh"});
  };
  std::string fingerprint;
  try {
    fingerprint = json.value("recipe_fingerprint", "");
    micro_batches_per_step_ = json.value("micro_batches_per_step", micro_batches_per_step_);
    start_date_ = json.value("start_date", start_date_);
  } catch (const Json::exception& error) {
    throw refuse(error.what());
  }
  if (micro_batches_per_step_ < 1) throw refuse(fmt::format("micro_batches_per_step {}, at least 1 expected", micro_batches_per_step_));
  if (fingerprint != identity_.fingerprint && read_run_state(path_) == "failed" && list_checkpoints(path_).empty()) {
    replaces_failed_run_ = true;  // there is nothing in it to lose
    micro_batches_per_step_ = micro_batches_per_step;
    start_date_ = today_iso_date();
    return;
  }
  if (fingerprint != identity_.fingerprint) {
    const std::string old_yaml = fs::exists(path_ / "recipe.yaml") ? read_file(path_ / "recipe.yaml") : "";
    throw UserError("the output folder holds the run of another recipe",
                    {.where = path_.string(),
                     .found = "these differ (old, new):\n" + recipe_difference(old_yaml, identity_.effective_yaml),
                     .fix = "choose another `output_dir`, or set the old run aside with --fresh; to train its model further, name the old "
                            "run in " +
                            identity_.start_key});
  }
  finished_ = read_run_state(path_) == "finished";
  remove_leftovers(path_);
}

void RunFolder::inherit(int64_t micro_batches_per_step, std::string start_date) {
  micro_batches_per_step_ = micro_batches_per_step;
  start_date_ = std::move(start_date);
}

RunFolder::~RunFolder() {
  if (made_.empty()) return;
  std::error_code code;
  fs::directory_iterator entries(path_, code);
  const bool is_untouched = !code && std::all_of(begin(entries), end(entries),
                                                 [](const fs::directory_entry& entry) { return entry.path().filename() == ".lock"; });
  if (!is_untouched) return;
  fs::remove(path_ / ".lock", code);
  for (const fs::path& folder : made_) fs::remove(folder, code);  // another run may have put something into the outer ones
}

void RunFolder::claim() {
  if (holds_old_run_) {
    set_aside(path_);
    create(path_);
    lock_ = std::make_unique<RunLock>(path_);  // the old lock went with the old folder
    holds_old_run_ = false;
  }
  write_file_atomic(path_ / "recipe.yaml", identity_.effective_yaml);  // on a later launch too: paths and logging may have changed
  if (fs::exists(path_ / "run.json") && !replaces_failed_run_) return;
  const Json json{{"version", 1},
                  {"recipe_fingerprint", identity_.fingerprint},
                  {"micro_batches_per_step", micro_batches_per_step_},
                  {"start_date", start_date_}};
  write_file_atomic(path_ / "run.json", json.dump(2) + "\n");
  replaces_failed_run_ = false;
}

bool RunFolder::is_claimed() const {
  return !holds_old_run_ && !replaces_failed_run_ && fs::exists(path_ / "run.json");
}

std::optional<fs::path> RunFolder::newest_checkpoint() const {
  if (holds_old_run_) return std::nullopt;
  const std::vector<int64_t> steps = list_checkpoints(path_);
  if (steps.empty()) return std::nullopt;
  return checkpoint_path(path_, steps.back());
}

}  // namespace multimeditron
