#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/folder.h"
#include "cli/program.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

pid_t start_demo(const fs::path& folder) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(PROGRAM, PROGRAM, "demo", "--quick", "--quiet", "--output", folder.c_str(), nullptr);
    ::_exit(127);
  }
  return child;
}

std::string weights(const fs::path& demo, const std::string& run) {
  const std::vector<int64_t> steps = list_checkpoints(demo / "runs" / run);
  return steps.empty() ? "" : content_of(checkpoint_path(demo / "runs" / run, steps.back()) / "model.safetensors");
}

std::vector<std::string> phases(const fs::path& demo) {
  std::vector<std::string> names;
  const Json record = read_json(demo / "demo.json");
  for (const Json& phase : record.at("phases")) names.push_back(phase.at("name"));
  return names;
}

/// The demo with a mixture: experts, gate, both stages, and the single CLIP that it is compared with.
TEST(DemoRun, AMixtureIsTrainedAndCompared) {
  const TemporaryFolder folder;
  const fs::path demo = folder / "demo";
  const Result result = run({"demo", "--quick", "--quiet", "--recipe", "moe/cat/shared", "--output", demo.string()});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(phases(demo).size(), 15U);
  for (const char* expert : {"vision", "expert-ct", "expert-mri", "expert-ultrasound", "expert-xray"})
    EXPECT_GE(read_json(demo / "runs" / expert / "zero_shot.json").at("images"), 6) << expert;
  for (const char* name : {"evaluation", "evaluation-single"}) EXPECT_TRUE(fs::exists(demo / name / "results.json")) << name;
  EXPECT_TRUE(fs::exists(demo / "runs/gate/best/model.safetensors"));
  EXPECT_NE(content_of(demo / "report.html").find("moe_meditron_clip"), std::string::npos);
  const Result other = run({"demo", "--quick", "--recipe", "moe/avg/pep", "--output", demo.string()});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("--recipe moe/cat/shared where seed 0, --quick, --recipe moe/avg/pep was asked for"), std::string::npos)
      << other.err;
}

/// A language model of the user's, here the one that another demo has made, is taught beside the demo's own.
TEST(DemoRun, ALanguageModelOfTheUsersIsTaughtAndCompared) {
  const TemporaryFolder folder;
  const fs::path first = folder / "first", demo = folder / "demo";
  ASSERT_EQ(run({"demo", "--quick", "--quiet", "--recipe", "single_clip/llama_clip", "--output", first.string()}).code, 0);
  EXPECT_EQ(read_json(checkpoint_path(first / "runs/end2end", list_checkpoints(first / "runs/end2end").back()) / "config.json")
                .at("llm_config")
                .at("model_type"),
            "llama");
  const std::string llm = (first / "models/llm").string();
  const Result result = run({"demo", "--quick", "--quiet", "--llm", llm, "--output", demo.string()});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(phases(demo), (std::vector<std::string>{"data", "models", "vision", "warmup", "alignment-small", "end2end-small", "alignment",
                                                    "end2end", "evaluation", "evaluation-small"}));
  for (const char* name : {"evaluation", "evaluation-small"}) EXPECT_TRUE(fs::exists(demo / name / "results.json")) << name;
  const Result both = run({"demo", "--llm", llm, "--recipe", "moe/avg/pep"});
  EXPECT_EQ(both.code, 2);
  const Result missing = run({"demo", "--llm", (folder / "nothing").string(), "--output", (folder / "other").string()});
  EXPECT_EQ(missing.code, 2);
  EXPECT_FALSE(fs::exists(folder / "other"));
}

/// Killed again and again, in whatever phase it is, and started again, a demo ends as an unbroken one does.
TEST(DemoRun, GoesOnWhereItWasKilled) {
  const TemporaryFolder folder;
  const fs::path whole = folder / "whole", broken = folder / "broken";
  const auto start = std::chrono::steady_clock::now();
  const Result unbroken = run({"demo", "--quick", "--quiet", "--output", whole.string()});
  const std::chrono::duration<double> unbroken_time = std::chrono::steady_clock::now() - start;
  ASSERT_EQ(unbroken.code, 0) << unbroken.err;
  const std::vector<std::string> all{"data", "models", "vision", "warmup", "alignment", "end2end", "evaluation"};
  EXPECT_EQ(phases(whole), all);

  // The patience is in parts of what the unbroken demo took, and grows: on a slow or busy machine the kills do not get ahead of the work.
  std::mt19937 random(7);
  int kills = 0, status = 0;
  for (;; ++kills) {
    const pid_t child = start_demo(broken);
    const double most = 0.05 * std::pow(1.15, kills);
    const auto patience = unbroken_time * (0.02 + most * static_cast<double>(random() % 1000) / 1000);
    const auto end = std::chrono::steady_clock::now() + patience;
    pid_t ended = 0;
    while (ended == 0 && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      ended = ::waitpid(child, &status, WNOHANG);
    }
    if (ended != 0) break;
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
  }
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_GE(kills, 5);
  EXPECT_EQ(phases(broken), all);
  for (const char* run_name : {"vision", "warmup", "alignment", "end2end"}) {
    EXPECT_FALSE(weights(whole, run_name).empty());
    EXPECT_EQ(weights(broken, run_name), weights(whole, run_name)) << run_name;
  }
  EXPECT_EQ(content_of(broken / "evaluation/predictions-test.jsonl"), content_of(whole / "evaluation/predictions-test.jsonl"));
  EXPECT_TRUE(fs::exists(broken / "report.html"));
}

/// The trainings take the signals; what comes behind them heeds them as well.
TEST(DemoRun, StopsInItsEvaluationToo) {
  const TemporaryFolder folder;
  const fs::path demo = folder / "demo";
  const pid_t child = start_demo(demo);
  const auto is_trained = [&] {
    if (!fs::exists(demo / "demo.json")) return false;
    const std::vector<std::string> done = phases(demo);
    return !done.empty() && done.back() == "end2end";
  };
  int status = 0;
  while (!is_trained()) {
    ASSERT_EQ(::waitpid(child, &status, WNOHANG), 0) << "ended before its evaluation";
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::kill(child, SIGTERM);
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 75);
  EXPECT_EQ(phases(demo).back(), "end2end");
  EXPECT_EQ(run({"demo", "--quick", "--quiet", "--output", demo.string()}).code, 0);
  EXPECT_EQ(phases(demo).back(), "evaluation");
}

TEST(DemoRun, OneAtATimeHasItsFolder) {
  const TemporaryFolder folder;
  const RunLock other(folder / "demo");
  const Result result = run({"demo", "--quick", "--output", folder / "demo"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("another run is using this output folder"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(folder / "demo/demo.json"));
}

TEST(DemoRun, KeepsItsHandsOffOtherFolders) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "thesis.txt", "mine");
  const Result mine = run({"demo", "--quick", "--output", folder.path().string()});
  EXPECT_EQ(mine.code, 2);
  EXPECT_NE(mine.err.find("something else"), std::string::npos) << mine.err;
  const TemporaryFolder other;
  write_file_atomic(other / "demo.json", R"({"seed": 3, "quick": true, "phases": []})");
  const Result seed = run({"demo", "--quick", "--output", other.path().string()});
  EXPECT_EQ(seed.code, 2);
  EXPECT_NE(seed.err.find("seed 3, --quick where seed 0, --quick was asked for"), std::string::npos) << seed.err;
  for (const char* edited :
       {R"({"seed": "x", "phases": []})", R"({"seed": 0, "phases": [1]})", R"({"seed": 0, "phases": [{"name": 1}]})", "[]"}) {
    write_file_atomic(other / "demo.json", edited);
    const Result result = run({"demo", "--quick", "--output", other.path().string()});
    EXPECT_EQ(result.code, 2) << edited;
    EXPECT_NE(result.err.find("the demo's record cannot be read"), std::string::npos) << result.err;
  }
}

}  // namespace
}  // namespace multimeditron::testing
