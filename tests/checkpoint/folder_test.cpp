#include "checkpoint/folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "checkpoint/tensors.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A new file: cutting an old one short and filling it again makes some file systems write it out at once.
void replace(const fs::path& file, const std::string& content) {
  fs::remove(file);
  std::ofstream(file, std::ios::binary) << content;
}

void flip_bit(const fs::path& file, size_t bit) {
  std::string bytes = read_file(file);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  replace(file, bytes);
}

class CheckpointFolder : public testing::Test {
 protected:
  fs::path save(int64_t step, const std::string& content = "weights") {
    write_checkpoint_folder(run_, step, [&](const fs::path& folder) {
      write_file_atomic(folder / "config.json", "{}");
      write_file_atomic(folder / "model.safetensors", content);
      fs::create_directory(folder / "training_state");
      write_file_atomic(folder / "training_state/state.json", "{\"step\": 1}");
    });
    return checkpoint_path(run_, step);
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "runs/one";
};

TEST_F(CheckpointFolder, HoldsAManifestOfEveryFile) {
  const fs::path checkpoint = save(10);
  EXPECT_EQ(checkpoint.filename(), "checkpoint-10");
  EXPECT_EQ(names_in(run_), std::vector<std::string>{"checkpoint-10"});
  const Json manifest = read_json(checkpoint / "manifest.json");
  EXPECT_EQ(manifest["step"], 10);
  ASSERT_EQ(manifest["files"].size(), 3u);
  EXPECT_EQ(manifest["files"]["model.safetensors"]["size"], 7);
  // printf weights | sha256sum
  EXPECT_EQ(manifest["files"]["model.safetensors"]["sha256"], "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c");
  EXPECT_TRUE(manifest["files"].contains("training_state/state.json"));
  EXPECT_NO_THROW(verify_checkpoint(checkpoint));
}

TEST_F(CheckpointFolder, AFailedSaveLeavesNothingAndTheOldOneWhole) {
  save(10);
  EXPECT_USER_ERROR(write_checkpoint_folder(run_, 20,
                                            [](const fs::path& folder) {
                                              write_file_atomic(folder / "config.json", "{}");
                                              throw UserError("no weights");
                                            }),
                    "no weights");
  EXPECT_THROW(write_checkpoint_folder(run_, 20, [](const fs::path&) { throw std::runtime_error("a fault of ours"); }), std::runtime_error);
  EXPECT_USER_ERROR(write_checkpoint_folder(run_, 20, [](const fs::path& folder) { fs::copy_file("absent", folder / "a"); }), "absent");
  EXPECT_EQ(names_in(run_), std::vector<std::string>{"checkpoint-10"});
  EXPECT_EQ(list_checkpoints(run_), std::vector<int64_t>{10});
}

TEST_F(CheckpointFolder, TheSameStepAgainReplacesTheOld) {
  save(10, "old");
  const fs::path checkpoint = save(10, "new");
  EXPECT_EQ(read_file(checkpoint / "model.safetensors"), "new");
  EXPECT_NO_THROW(verify_checkpoint(checkpoint));
  EXPECT_EQ(names_in(run_), std::vector<std::string>{"checkpoint-10"});
}

TEST_F(CheckpointFolder, OnlyWholeOnesAreListedByStep) {
  for (const int64_t step : {100, 9, 20, 30}) save(step);
  fs::remove(run_ / "checkpoint-20/model.safetensors");
  fs::resize_file(run_ / "checkpoint-30/model.safetensors", 3);
  for (const char* name :
       {"checkpoint-", "checkpoint-007", "checkpoint-9x", "checkpoint--1", ".checkpoint-40.tmp-1", "checkpoint-99999999999999999999"})
    fs::copy(run_ / "checkpoint-9", run_ / name, fs::copy_options::recursive);
  fs::create_directory(run_ / "checkpoint-50");
  std::ofstream(run_ / "checkpoint-60") << "a file";
  EXPECT_EQ(list_checkpoints(run_), (std::vector<int64_t>{9, 100}));
  EXPECT_EQ(list_checkpoints(folder_ / "absent"), std::vector<int64_t>{});
}

TEST_F(CheckpointFolder, EveryFlippedBitAndEveryTruncationIsFound) {
  const fs::path checkpoint = save(10);
  for (const char* name : {"config.json", "model.safetensors", "training_state/state.json"}) {
    const fs::path file = checkpoint / name;
    const std::string whole = read_file(file);
    for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
      flip_bit(file, bit);
      EXPECT_USER_ERROR(verify_checkpoint(checkpoint), file.string(), "SHA-256");
      flip_bit(file, bit);
    }
    for (size_t size = 0; size < whole.size(); ++size) {
      fs::resize_file(file, size);
      EXPECT_USER_ERROR(verify_checkpoint(checkpoint), file.string(), "bytes");
      replace(file, whole);
    }
    fs::remove(file);
    EXPECT_USER_ERROR(verify_checkpoint(checkpoint), file.string(), "no such file");
    replace(file, whole);
  }
  EXPECT_NO_THROW(verify_checkpoint(checkpoint));
}

TEST_F(CheckpointFolder, ABrokenManifestIsNeverTakenForAGoodOne) {
  const fs::path checkpoint = save(10);
  const std::string whole = read_file(checkpoint / "manifest.json");
  for (size_t size = 0; size + 1 < whole.size(); ++size) {  // the last byte is the line's end
    replace(checkpoint / "manifest.json", whole.substr(0, size));
    EXPECT_THROW(verify_checkpoint(checkpoint), UserError) << size;
    EXPECT_TRUE(list_checkpoints(run_).empty()) << size;
  }
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {  // found, or without meaning (a space, a key's own name)
    replace(checkpoint / "manifest.json", whole);
    flip_bit(checkpoint / "manifest.json", bit);
    try {
      verify_checkpoint(checkpoint);
    } catch (const UserError&) {
    }
  }
  fs::remove(checkpoint / "manifest.json");
  EXPECT_USER_ERROR(verify_checkpoint(checkpoint), checkpoint.string(), "manifest.json");
}

TEST_F(CheckpointFolder, AManifestCannotPointOutside) {
  const fs::path checkpoint = save(10);
  Json manifest = read_json(checkpoint / "manifest.json");
  for (const char* name : {"../../secret", "/etc/passwd", ""}) {
    Json changed = manifest;
    changed["files"][name] = {{"size", 1}, {"sha256", "00"}};
    write_file_atomic(checkpoint / "manifest.json", changed.dump());
    EXPECT_USER_ERROR(verify_checkpoint(checkpoint), "not a path inside");
  }
  manifest["version"] = 2;
  write_file_atomic(checkpoint / "manifest.json", manifest.dump());
  EXPECT_USER_ERROR(verify_checkpoint(checkpoint), "version 2, 1 expected");
}

TEST_F(CheckpointFolder, PruningKeepsTheNewestAndClearsLeftovers) {
  for (const int64_t step : {10, 20, 30, 40}) save(step);
  fs::create_directories(run_ / ".checkpoint-50.tmp-77/inside");
  fs::create_directories(run_ / ".checkpoint-5.old-77");
  std::ofstream(run_ / "STATE.tmp-77") << "running";
  std::ofstream(run_ / "metrics.jsonl") << "{}";
  prune_checkpoints(run_, 0);
  EXPECT_EQ(list_checkpoints(run_).size(), 4u);
  prune_checkpoints(run_, 2);
  EXPECT_EQ(names_in(run_), (std::vector<std::string>{"checkpoint-30", "checkpoint-40", "metrics.jsonl"}));
  prune_checkpoints(run_, 5);
  EXPECT_EQ(list_checkpoints(run_), (std::vector<int64_t>{30, 40}));
}

/// What cannot be deleted (here: in a folder that is read-only, for somebody who is not root) does not end a run that has saved.
TEST_F(CheckpointFolder, LeftoversThatCannotBeDeletedAreWarnedOf) {
  for (const int64_t step : {10, 20}) save(step);
  const fs::path leftover = run_ / ".checkpoint-5.old-77";
  for (const fs::path& each : {leftover, run_ / "checkpoint-10/training_state"}) {
    fs::create_directories(each / "inside");
    std::ofstream(each / "inside/file") << "x";
    fs::permissions(each / "inside", fs::perms::owner_read | fs::perms::owner_exec);
  }
  for (const fs::path& each : {folder_.path(), run_.parent_path(), run_}) fs::permissions(each, fs::perms::all);
  const bool is_root = ::geteuid() == 0;
  if (is_root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  testing::internal::CaptureStderr();
  EXPECT_NO_THROW(prune_checkpoints(run_, 1));
  const std::string said = testing::internal::GetCapturedStderr();
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_NE(said.find("cannot delete " + leftover.string()), std::string::npos) << said;
  EXPECT_EQ(list_checkpoints(run_), std::vector<int64_t>{20});
  for (const auto& entry : fs::recursive_directory_iterator(run_))
    if (entry.is_directory()) fs::permissions(entry, fs::perms::all);
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names_in(run_), std::vector<std::string>{"checkpoint-20"});
}

TEST_F(CheckpointFolder, BrokenOnesAreNotCountedAndNotDeleted) {
  for (const int64_t step : {10, 20, 30}) save(step);
  fs::remove(run_ / "checkpoint-30/model.safetensors");
  prune_checkpoints(run_, 1);
  EXPECT_EQ(names_in(run_), (std::vector<std::string>{"checkpoint-20", "checkpoint-30"}));
}

TEST_F(CheckpointFolder, ARunResolvesToItsNewestWholeCheckpoint) {
  for (const int64_t step : {10, 20, 30}) save(step);
  EXPECT_EQ(resolve_checkpoint(run_ / "checkpoint-10"), run_ / "checkpoint-10");
  EXPECT_EQ(resolve_checkpoint(run_), run_ / "checkpoint-30");
  fs::resize_file(run_ / "checkpoint-30/model.safetensors", 3);
  testing::internal::CaptureStderr();
  EXPECT_EQ(resolve_checkpoint(run_), run_ / "checkpoint-20");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("checkpoint-30 is not whole"), std::string::npos) << said;
  EXPECT_NE(said.find("taking its newest checkpoint, checkpoint-20"), std::string::npos) << said;
  EXPECT_USER_ERROR(resolve_checkpoint(run_ / "checkpoint-30"), "checkpoint-30/model.safetensors", "3 bytes, 7 were saved");
}

TEST_F(CheckpointFolder, RunsOfThePythonOriginalResolveByTheirWeights) {
  for (const char* name : {"checkpoint-5", "checkpoint-25"}) {
    fs::create_directories(run_ / name);
    write_file_atomic(run_ / name / "config.json", "{}");
    write_safetensors(run_ / name, "model", {counting_tensor("a", 4, 4)});
  }
  EXPECT_EQ(resolve_checkpoint(run_), run_ / "checkpoint-25");
  fs::resize_file(run_ / "checkpoint-25/model.safetensors", 100);
  EXPECT_EQ(resolve_checkpoint(run_), run_ / "checkpoint-5");
}

/// What a run of ours resumes from and what is generated with it are the same.
TEST_F(CheckpointFolder, AFolderWithoutAManifestIsNoneOfARunOfOurs) {
  for (const int64_t step : {10, 20}) save(step);
  write_safetensors(run_ / "checkpoint-20", "model", {counting_tensor("a", 4, 4)});
  fs::remove(run_ / "checkpoint-20/manifest.json");
  EXPECT_EQ(resolve_checkpoint(run_), run_ / "checkpoint-20") << "that of another program";
  write_file_atomic(run_ / "run.json", "{}");
  EXPECT_EQ(resolve_checkpoint(run_), run_ / "checkpoint-10");
  EXPECT_EQ(resolve_checkpoint(run_).filename(), checkpoint_path(run_, list_checkpoints(run_).back()).filename());
  fs::remove_all(run_ / "checkpoint-10");
  EXPECT_USER_ERROR(resolve_checkpoint(run_), "checkpoint-20", "no manifest.json");
}

TEST_F(CheckpointFolder, AMissingOneNamesThoseBesideIt) {
  for (const int64_t step : {9, 10}) save(step);
  EXPECT_USER_ERROR(resolve_checkpoint(run_ / "checkpoint-333"), "checkpoint-333", "checkpoint-9, checkpoint-10", "the run's folder");
  EXPECT_USER_ERROR(resolve_checkpoint(run_ / "checkpoint-333/"), "checkpoint-9, checkpoint-10");
  EXPECT_USER_ERROR(resolve_checkpoint(folder_ / "runs/onee"), "did you mean", "runs/one");
  EXPECT_USER_ERROR(resolve_checkpoint(folder_ / "runs"), "neither a checkpoint nor a run");
  EXPECT_USER_ERROR(resolve_checkpoint(run_ / "checkpoint-9/config.json"), "a checkpoint is a folder");
}

TEST_F(CheckpointFolder, ARunWithoutAWholeCheckpointSaysWhatIsWrong) {
  save(10);
  fs::resize_file(run_ / "checkpoint-10/model.safetensors", 0);
  EXPECT_USER_ERROR(resolve_checkpoint(run_), "checkpoint-10/model.safetensors", "0 bytes");
}

TEST_F(CheckpointFolder, FilesAreCopiedWhole) {
  const std::string large(3'000'000, 'x');
  write_file_atomic(folder_ / "from", large);
  copy_file_synced(folder_ / "from", folder_ / "to");
  EXPECT_TRUE(read_file(folder_ / "to") == large);
  EXPECT_USER_ERROR(copy_file_synced(folder_ / "absent", folder_ / "to"), "absent");
  EXPECT_USER_ERROR(copy_file_synced(folder_.path(), folder_ / "to"), "cannot read", "Is a directory");
}

TEST_F(CheckpointFolder, OneRunAtATimeOwnsAnOutputFolder) {
  {
    const RunLock lock(run_);
    EXPECT_USER_ERROR(RunLock{run_}, "another run is using this output folder", run_.string(), "process " + std::to_string(::getpid()));
  }
  EXPECT_NO_THROW(RunLock{run_});
}

TEST_F(CheckpointFolder, TheStateOfARunIsOneWord) {
  EXPECT_EQ(read_run_state(folder_.path()), "");
  write_run_state(folder_.path(), "running");
  write_run_state(folder_.path(), "finished");
  EXPECT_EQ(read_run_state(folder_.path()), "finished");
  EXPECT_EQ(read_file(folder_ / "STATE"), "finished\n");
}

}  // namespace
}  // namespace multimeditron
