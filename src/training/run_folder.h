#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "checkpoint/folder.h"

namespace multimeditron {

/// What makes a run what it is, whatever kind of recipe it comes from.
struct RunIdentity {
  std::filesystem::path output_dir;
  std::string fingerprint, effective_yaml;
  std::string start_key = "`base_model` (a language model: `base_llm`)";  ///< of the recipe: what a further run begins with
};
template <class R>
RunIdentity identity_of(const R& recipe) {
  return {recipe.training_args.output_dir, recipe.fingerprint, recipe.effective_yaml};
}

/// The output folder of a run: who owns it, what it holds, and where the run goes on.
///   recipe.yaml    the effective recipe         run.json   fingerprint, micro-batches a step, start date: fixed at the first launch
///   STATE          running, interrupted, finished, failed
///   checkpoint-N/  metrics.jsonl  quarantine.jsonl
class RunFolder {
 public:
  /// Takes the folder for this run. `fresh`: an old run in it is passed over, and set aside by claim(). Throws UserError: another recipe's
  /// run (with the difference), another process has it, cannot be written.
  RunFolder(RunIdentity identity, bool fresh, int64_t micro_batches_per_step);
  /// Folders that were made for this launch go again where it has not claimed them.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Takes over what the run of a checkpoint fixed at its first launch, so that going on with it in another folder changes neither its
  /// steps nor its prompts. To be called before claim().
  void inherit(int64_t micro_batches_per_step, std::string start_date);

  /// Writes recipe.yaml and run.json: from now on the folder belongs to this recipe; an old run that `fresh` passes over is renamed
  /// `NAME.old-K`, never deleted. Called once everything is loaded and before anything else is written, so that a recipe with a mistake
  /// leaves no trace.
  void claim();
  /// True once the folder belongs to this run, by this launch or an earlier one.
  bool is_claimed() const;

  const std::filesystem::path& path() const { return path_; }
  bool is_finished() const { return finished_; }
  /// The newest whole checkpoint of this run, if any.
  std::optional<std::filesystem::path> newest_checkpoint() const;
  int64_t micro_batches_per_step() const { return micro_batches_per_step_; }
  const std::string& start_date() const { return start_date_; }
  void set_state(const std::string& state) const { write_run_state(path_, state); }

 private:
  RunIdentity identity_;
  std::filesystem::path path_;
  std::unique_ptr<RunLock> lock_;
  std::vector<std::filesystem::path> made_;  ///< by this launch, the innermost first: the folder, and those it lies in
  bool finished_ = false;
  bool holds_old_run_ = false;
  bool replaces_failed_run_ = false;  ///< of another recipe, and without a checkpoint
  int64_t micro_batches_per_step_;
  std::string start_date_;
};

}  // namespace multimeditron
