#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "run_case.h"
#include "training/loop.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kOverrides{"training_args.save_steps=2", "training_args.save_strategy=steps",
                                          "training_args.save_total_limit=2"};

/// Starts a run as train_case does, without waiting for it.
pid_t start_case(const fs::path& out) {
  const fs::path root = fs::path(TEST_DATA) / "case_two";
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("CASE_ROOT", root.c_str(), 1);
    ::setenv("OUT", out.c_str(), 1);
    if (::chdir(root.c_str()) != 0) ::_exit(126);
    std::vector<const char*> command{PROGRAM, "train", "--config", "cases/qwen3_clip/end2end.yaml", "--quiet"};
    for (const std::string& each : kOverrides) command.push_back(each.c_str());
    command.push_back(nullptr);
    ::execv(PROGRAM, const_cast<char**>(command.data()));
    ::_exit(127);
  }
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string final_weights(const fs::path& run) {
  return content_of(checkpoint_path(run, list_checkpoints(run).back()) / "model.safetensors");
}

/// True while a checkpoint is being written: its temporary folder is there.
bool is_saving(const fs::path& run) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run, code)) {
    if (entry.path().filename().string().find(".tmp-") != std::string::npos) return true;
  }
  return false;
}

/// Kills at random instants, a third of them inside a checkpoint, each followed by the same command; MULTIMEDITRON_TEST_KILLS sets how
/// many.
TEST(Resume, KilledRunsEndWithTheSameBits) {
  const TemporaryFolder folder;
  ASSERT_EQ(train_case("case_two", "end2end", folder / "whole", kOverrides).code, 0);
  const std::string expected = final_weights(folder.path() / "whole/end2end");
  const auto whole_steps = step_lines(folder.path() / "whole/end2end/metrics.jsonl");

  const char* asked = std::getenv("MULTIMEDITRON_TEST_KILLS");
  const int kills = asked != nullptr ? std::atoi(asked) : 6;
  std::mt19937 random(20261125);
  int done = 0, inside_a_save = 0, runs = 0;
  while (done < kills) {
    const fs::path out = folder / ("run" + std::to_string(runs++)), run = out / "end2end";
    for (int attempt = 0;; ++attempt) {
      const pid_t child = start_case(out);
      const bool wants_save = done % 3 == 0;
      const auto start = std::chrono::steady_clock::now();
      const int delay_ms = static_cast<int>(random() % 900);
      int status = 0;
      bool ended = false;
      while (!(ended = ::waitpid(child, &status, WNOHANG) != 0)) {
        const auto elapsed = std::chrono::steady_clock::now() - start;
        if (done < kills && (wants_save ? is_saving(run) : elapsed > std::chrono::milliseconds(delay_ms))) {
          inside_a_save += wants_save;
          ::kill(child, SIGKILL);
          ::waitpid(child, &status, 0);
          break;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      if (ended) {
        ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "attempt " << attempt;
        break;
      }
      ++done;
      for (const int64_t step : list_checkpoints(run)) EXPECT_NO_THROW(verify_checkpoint(checkpoint_path(run, step)));
    }
    EXPECT_EQ(final_weights(run), expected);
    const auto steps = step_lines(run / "metrics.jsonl");
    ASSERT_EQ(steps.size(), whole_steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      EXPECT_EQ(steps[i].at("step"), static_cast<int64_t>(i) + 1);
      EXPECT_EQ(steps[i].at("loss"), whole_steps[i].at("loss"));
    }
  }
  EXPECT_GT(inside_a_save, 0);
  std::printf("%d kills, %d of them inside a checkpoint, over %d runs: all ended with the same bits\n", done, inside_a_save, runs);
}

TEST(Resume, ASignalSavesAndTheSameCommandGoesOn) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "stopped/end2end";
  ASSERT_EQ(train_case("case_two", "end2end", folder / "whole", kOverrides).code, 0);
  const pid_t child = start_case(folder / "stopped");
  while (!fs::exists(run / "metrics.jsonl") || step_lines(run / "metrics.jsonl").empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGTERM);
  const int code = wait_for(child);
  if (code == 75) {
    EXPECT_EQ(read_run_state(run), "interrupted");
    EXPECT_FALSE(list_checkpoints(run).empty());
    ASSERT_EQ(train_case("case_two", "end2end", folder / "stopped", kOverrides).code, 0);
  } else {
    ASSERT_EQ(code, 0);  // it was done before the signal came
  }
  EXPECT_EQ(read_run_state(run), "finished");
  EXPECT_EQ(final_weights(run), final_weights(folder.path() / "whole/end2end"));
}

TEST(Resume, AFinishedRunIsLeftAloneAndFreshSetsItAside) {
  const TemporaryFolder folder;
  ASSERT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=2"}).code, 0);
  const auto written = fs::last_write_time(folder.path() / "alignment/metrics.jsonl");
  ASSERT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=2"}).code, 0);
  EXPECT_EQ(fs::last_write_time(folder.path() / "alignment/metrics.jsonl"), written);
  ASSERT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=2", "--fresh"}).code, 0);
  EXPECT_TRUE(fs::exists(folder.path() / "alignment.old-1/metrics.jsonl"));
}

/// Killed between its last save and STATE `finished`, a run has nothing left to do, and no loss to tell.
TEST(Resume, ARunWithoutAStepLeftTellsNoLoss) {
  const TemporaryFolder folder;
  const fs::path root = fs::path(TEST_DATA) / "case_qwen3_clip";
  const auto launch = [&] {
    return run_command({"env", "-C", root.string(), PROGRAM, "train", "cases/qwen3_clip/alignment.yaml", "training_args.max_steps=2",
                        "training_args.save_strategy=steps"},
                       {"CASE_ROOT=" + root.string(), "OUT=" + folder.path().string()});
  };
  const std::string loss = "in the last step";
  EXPECT_NE(launch().out.find(loss), std::string::npos);
  write_run_state(folder / "alignment", "running");
  const Result again = launch();
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("0 in "), std::string::npos) << again.out;
  EXPECT_EQ(again.out.find(loss), std::string::npos) << again.out;
  EXPECT_EQ(read_run_state(folder / "alignment"), "finished");
}

/// A signal that comes while a run is made ready: the folder says so, where it is this run's.
/// Gone on with in another folder, a run that is over leaves its checkpoint there too.
TEST(Resume, ARunWithoutAStepLeftIsSavedInItsNewFolder) {
  const TemporaryFolder folder;
  std::vector<std::string> overrides{"training_args.max_steps=2", "training_args.save_strategy=steps"};
  ASSERT_EQ(train_case("case_two", "end2end", folder / "first", overrides).code, 0);
  const fs::path first = folder / "first/end2end";
  overrides.insert(overrides.end(), {"base_model=" + first.string(), "resume_from_checkpoint=true"});
  const Result result = train_case("case_two", "end2end", folder / "second", overrides);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(list_checkpoints(folder / "second/end2end"), (std::vector<int64_t>{2}));
  for (const char* file : {"model.safetensors", "training_state/optimizer.safetensors", "trainer_state.json"})
    EXPECT_EQ(content_of(folder / "second/end2end/checkpoint-2" / file), content_of(first / "checkpoint-2" / file)) << file;
}

TEST(Resume, ASignalBeforeTheFirstStepLeavesNothingRunning) {
  const TemporaryFolder folder;
  const RunIdentity identity{folder / "run", "aa", "seed: 0\n"};
  const auto launch = [&](const std::function<void(RunFolder&)>& before) {
    EXPECT_THROW(run_in_folder(identity, false, 1, OutputMode::kQuiet,
                               [&](RunFolder& run) {
                                 if (before) before(run);
                                 throw Interrupted();
                               }),
                 Interrupted);
  };
  launch(nullptr);
  EXPECT_FALSE(fs::exists(folder / "run"));
  launch([](RunFolder& run) {
    run.claim();
    run.set_state("running");
  });
  EXPECT_EQ(read_run_state(folder / "run"), "interrupted");
}

TEST(Resume, FreshWithAMistakeInTheRecipeLeavesTheOldRunAlone) {
  const TemporaryFolder folder;
  const fs::path run = folder.path() / "alignment";
  ASSERT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=2"}).code, 0);
  const std::string metrics = content_of(run / "metrics.jsonl");
  EXPECT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=nowhere", "--fresh"}).code, 2);
  EXPECT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"datasets.0.packed_path=nowhere", "--fresh"}).code, 2);
  EXPECT_FALSE(fs::exists(folder.path() / "alignment.old-1"));
  EXPECT_EQ(read_run_state(run), "finished");
  EXPECT_EQ(content_of(run / "metrics.jsonl"), metrics);
}

TEST(Resume, AStateCanBeContinuedInAnotherFolder) {
  const TemporaryFolder folder;
  ASSERT_EQ(train_case("case_two", "end2end", folder / "whole", kOverrides).code, 0);
  std::vector<std::string> overrides{"training_args.save_steps=4", "training_args.save_strategy=steps"};
  ASSERT_EQ(train_case("case_two", "end2end", folder / "first", overrides).code, 0);
  // Looked for beside the recipe, as base_model is.
  const fs::path beside = fs::relative(folder.path() / "first/end2end/checkpoint-4", fs::path(TEST_DATA) / "case_two/cases/qwen3_clip");
  overrides.push_back("resume_from_checkpoint=" + beside.string());
  ASSERT_EQ(train_case("case_two", "end2end", folder / "second", overrides).code, 0);
  EXPECT_EQ(step_lines(folder.path() / "second/end2end/metrics.jsonl").front().at("step"), 5);
  EXPECT_EQ(final_weights(folder.path() / "second/end2end"), final_weights(folder.path() / "whole/end2end"));
  // Not with settings that would take the samples in another order.
  for (const auto& [setting, found] :
       std::vector<std::pair<std::string, std::string>>{{"seed=77", "`seed` "},
                                                        {"training_args.seed=77", "`training_args.seed` "},
                                                        {"training_args.per_device_train_batch_size=77", "batch size "}}) {
    std::vector<std::string> other = overrides;
    other.push_back(setting);
    const Result refused = train_case("case_two", "end2end", folder / "third", other);
    EXPECT_EQ(refused.code, 2) << setting;
    EXPECT_NE(refused.err.find(found), std::string::npos) << refused.err;
    EXPECT_NE(refused.err.find("there, 77 in this recipe"), std::string::npos) << refused.err;
  }
}

}  // namespace
}  // namespace multimeditron::testing
