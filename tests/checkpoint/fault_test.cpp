// What a disk or a killed process can do to a save: each time all that was saved before is whole, and nothing half is taken for a
// checkpoint.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"
#include "checkpoint/folder.h"
#include "checkpoint/tensors.h"
#include "checkpoint/training_state.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kNoFault = {"FAULT_AT=0"};

/// Starts SAVE_PROGRAM with its messages in `log` and, where `fault` is not empty, the shim in front of the system's calls.
pid_t start(const std::string& mode, const fs::path& run, int64_t step, const fs::path& log, const std::vector<std::string>& fault) {
  const std::string step_text = std::to_string(step);
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(fd, STDERR_FILENO);
  if (!fault.empty()) ::setenv("LD_PRELOAD", FAULT_SHIM, 1);
  ::setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
  for (const std::string& setting : fault) ::putenv(const_cast<char*>(setting.c_str()));
  ::execl(SAVE_PROGRAM, SAVE_PROGRAM, mode.c_str(), run.c_str(), step_text.c_str(), nullptr);
  ::_exit(127);
}

int exit_code(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Every checkpoint that counts as one is whole, in content too, and can be resumed.
void expect_all_whole(const fs::path& run, const std::string& context) {
  for (const int64_t step : list_checkpoints(run)) {
    const fs::path checkpoint = checkpoint_path(run, step);
    EXPECT_NO_THROW(verify_checkpoint(checkpoint)) << context;
    const SafetensorsReader reader(checkpoint);
    EXPECT_EQ(values_of<float>(*reader.find("a"))[0], static_cast<float>(step)) << context;
    EXPECT_EQ(read_training_state(checkpoint).step, step) << context;
  }
}

std::vector<std::string> leftovers(const fs::path& run) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename().string();
    if (name.find(".tmp-") != std::string::npos || name.find(".old-") != std::string::npos) names.push_back(name);
  }
  return names;
}

struct Fault {
  std::string kind;
  bool sticky = false;
  bool again = false;  // saves the step that exists already
};

class EveryFault : public testing::TestWithParam<Fault> {};

TEST_P(EveryFault, OfASaveLeavesTheOldCheckpointAndAClearMessage) {
  const auto [kind, sticky, again] = GetParam();
  const bool harmless = kind == "EINTR" || kind == "SHORT";
  const TemporaryFolder folder(memory_folder());
  ASSERT_EQ(exit_code(start("once", folder / "run", 1, folder / "log", kNoFault)), 0) << read_file(folder / "log");
  int num_faults = 0, num_failed = 0;
  for (int n = 1;; ++n) {
    ASSERT_LT(n, 1000);
    const std::string context = fmt::format("{} at call {}", kind, n);
    const fs::path run = folder / fmt::format("run-{}", n), mark = folder / "mark";
    fs::copy(folder / "run", run, fs::copy_options::recursive);
    fs::remove(mark);
    const int code = exit_code(start("once", run, again ? 1 : 2, folder / "log",
                                     {"FAULT_ROOT=" + run.string(), fmt::format("FAULT_AT={}", n), "FAULT_KIND=" + kind,
                                      fmt::format("FAULT_STICKY={}", sticky ? 1 : 0), "FAULT_MARK=" + mark.string()}));
    const std::string message = read_file(folder / "log");
    const std::vector<int64_t> steps = list_checkpoints(run);
    if (!fs::exists(mark)) {
      EXPECT_EQ(code, 0) << message;
      break;
    }
    ++num_faults;
    ASSERT_FALSE(steps.empty()) << context;
    EXPECT_EQ(steps.front(), 1) << context;
    expect_all_whole(run, context);
    if (code == 0) {
      EXPECT_EQ(steps.back(), again ? 1 : 2) << context;
    } else {
      ++num_failed;
      EXPECT_EQ(code, 2) << context << "\n" << message;
      EXPECT_TRUE(message.starts_with("error: ")) << context << "\n" << message;
      EXPECT_NE(message.find(kind == "EIO" ? "Input/output error" : "No space left"), std::string::npos) << context << "\n" << message;
      EXPECT_NE(message.find("where: " + run.string()), std::string::npos) << context << "\n" << message;
      EXPECT_NE(message.find("fix: "), std::string::npos) << context << "\n" << message;
      EXPECT_TRUE(sticky || leftovers(run).empty()) << context;
    }
    // The disk is well again: the same command goes through, and what was left lying about is gone.
    ASSERT_EQ(exit_code(start("once", run, 3, folder / "log", kNoFault)), 0) << context << "\n" << read_file(folder / "log");
    EXPECT_EQ(list_checkpoints(run).back(), 3) << context;
    EXPECT_EQ(leftovers(run), std::vector<std::string>{}) << context;
    fs::remove_all(run);
  }
  EXPECT_GT(num_faults, 5);
  if (harmless) {
    EXPECT_EQ(num_failed, 0);
  } else {
    EXPECT_GT(num_failed, num_faults / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Disk, EveryFault,
                         testing::Values(Fault{"ENOSPC"}, Fault{"EIO"}, Fault{"ENOSPC", true}, Fault{"EIO", true},
                                         Fault{"EIO", false, true}, Fault{"EINTR"}, Fault{"SHORT"}),
                         [](const testing::TestParamInfo<Fault>& info) {
                           return info.param.kind + (info.param.sticky ? "ForGood" : "") + (info.param.again ? "OnTheSameStep" : "");
                         });

/// MULTIMEDITRON_KILLS sets another number of kills.
TEST(Kill, AtRandomInstantsLosesNoCheckpoint) {
  const char* setting = std::getenv("MULTIMEDITRON_KILLS");
  const int num_kills = setting != nullptr ? std::atoi(setting) : 30;
  const TemporaryFolder folder;
  const fs::path run = folder / "run";
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(exit_code(start("once", run, 1, folder / "log", {})), 0);
  const auto one_save = std::chrono::steady_clock::now() - begin;  // kills fall into the first three, however slow the machine
  std::mt19937 random(7);
  int64_t newest = 1;
  int num_torn = 0;
  for (int i = 0; i < num_kills; ++i) {
    const pid_t child = start("loop", run, newest + 1, folder / "log", {});
    std::this_thread::sleep_for(std::chrono::duration<double>(one_save) * 3.0 * std::uniform_real_distribution()(random));
    ::kill(child, SIGKILL);
    ASSERT_EQ(exit_code(child), 128 + SIGKILL) << read_file(folder / "log");

    const std::vector<int64_t> steps = list_checkpoints(run);
    ASSERT_FALSE(steps.empty()) << "kill " << i;
    EXPECT_GE(steps.back(), newest) << "kill " << i;
    newest = steps.back();
    expect_all_whole(run, fmt::format("kill {}", i));
    EXPECT_EQ(resolve_checkpoint(run), checkpoint_path(run, newest));
    num_torn += !leftovers(run).empty();
  }
  EXPECT_GT(newest, 1);
  EXPECT_GT(num_torn, 0);
  prune_checkpoints(run, 1);
  EXPECT_EQ(leftovers(run), std::vector<std::string>{});
  EXPECT_EQ(list_checkpoints(run), std::vector<int64_t>{newest});
}

}  // namespace
}  // namespace multimeditron
