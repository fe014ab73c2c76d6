#include <signal.h>
#include <sys/file.h>

#include <chrono>
#include <map>
#include <thread>

#include "base/json.h"
#include "cli/program.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

/// `count` rows with images taken in turn from the data sets' own, beside a folder `images`.
void write_rows(const fs::path& folder, int count) {
  fs::copy(fs::path(TEST_DATA) / "datasets/json/images", folder / "images");
  std::ofstream lines(folder / "rows.jsonl");
  for (int i = 0; i < count; ++i) {
    lines << R"({"conversations": [{"role": "user", "content": "<|reserved_special_token_0|>What?"}, {"role": "assistant", "content": "a)"
          << i << R"("}], "modalities": [{"type": "image", "value": ")" << 10 * (1 + i % 6) << ".png\"}]}\n";
  }
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) all[fs::relative(entry.path(), folder).string()] = content_of(entry.path());
  }
  return all;
}

TEST(PreprocessCommand, SaysWhatItHasWrittenAndIsDoneTheSecondTime) {
  const TemporaryFolder folder;
  write_rows(folder.path(), 20);
  const std::vector<std::string> command = {"preprocess", folder / "rows.jsonl", "--image-folder", folder / "images",
                                            "--output",   folder / "out",        "--workers",      "2"};
  const Result first = run(command);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.err, "");
  for (const char* word : {"rows", "20", "images", "1, ", "finished"}) EXPECT_NE(first.out.find(word), std::string::npos) << first.out;
  EXPECT_TRUE(fs::exists(folder / "out/state.json"));
  const Result second = run(command);
  EXPECT_EQ(second.code, 0);
  EXPECT_NE(second.out.find("was finished already"), std::string::npos) << second.out;
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
}

// Bad rows are looked at again with --fresh, which sets all files of the old output aside.
TEST(PreprocessCommand, FreshTriesBadRowsAgain) {
  for (const char* name : {"out", "out.parquet"}) {
    const TemporaryFolder folder;
    write_rows(folder.path(), 20);
    fs::rename(folder / "images/10.png", folder / "10.png");
    std::vector<std::string> command = {"preprocess", folder / "rows.jsonl", "--image-folder", folder / "images",
                                        "--output",   folder / name};
    EXPECT_EQ(run(command).code, 0);
    fs::rename(folder / "10.png", folder / "images/10.png");
    const Result again = run(command);
    EXPECT_NE(again.out.find("quarantine.jsonl; --fresh tries them again"), std::string::npos) << again.out;
    command.emplace_back("--fresh");
    const Result fresh = run(command);
    EXPECT_EQ(fresh.code, 0) << fresh.err;
    EXPECT_NE(fresh.out.find("finished"), std::string::npos);
    EXPECT_EQ(fresh.out.find("left out"), std::string::npos) << fresh.out;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      EXPECT_FALSE(entry.path().string().ends_with(".partial")) << entry.path();
      EXPECT_FALSE(entry.path().string().ends_with(".lock")) << entry.path();
    }
  }
}

TEST(PreprocessCommand, OneCallAtATimeWritesAnOutput) {
  const TemporaryFolder folder;
  write_rows(folder.path(), 20);
  fs::create_directories(folder / "out.partial");
  std::ofstream(folder / "out.partial/preprocess.json") << "the other call's";
  const int other = ::open((folder / "out.lock").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  const Result result =
      run({"preprocess", folder / "rows.jsonl", "--image-folder", folder / "images", "--output", folder / "out", "--fresh"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("another process is writing this output"), std::string::npos) << result.err;
  EXPECT_EQ(content_of(folder / "out.partial/preprocess.json"), "the other call's");
  EXPECT_TRUE(fs::exists(folder / "out.lock"));
  ::close(other);
}

TEST(PreprocessCommand, MistakesAreExitTwoWithTheirFix) {
  const TemporaryFolder folder;
  write_rows(folder.path(), 3);
  const std::string rows = folder / "rows.jsonl", out = folder / "out";
  struct Case {
    std::vector<std::string> arguments;
    const char* words;
  };
  const std::vector<Case> cases = {
      {{"preprocess"}, "`DATASET` is missing"},
      {{"preprocess", rows}, "`--output` is missing"},
      {{"preprocess", rows, "--output", out, "--shard-size", "many"}, "`--shard-size` is out of range"},
      {{"preprocess", rows, "--output", out, "--format", "arow"}, "did you mean `arrow`?"},
      {{"preprocess", rows, "--output", out, "--image-folder", folder / "none"}, "the folder of the images is not there"},
      {{"preprocess", folder / "none.jsonl", "--output", out}, "cannot find the data set"},
      {{"preprocess", folder / "none.jsonl", "--output", out}, "where: DATASET\n"},
      {{"preprocess", rows, "--output", out, "--on-bad", "fail"}, "rows.jsonl, line 1"},  // the images lie in images/
  };
  for (const Case& each : cases) {
    const Result result = run(each.arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find(each.words), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(out));
  }
}

TEST(PreprocessCommand, ConfigurationsOfTheOriginalAreTaken) {
  const TemporaryFolder folder;
  write_rows(folder.path(), 12);
  std::ofstream(folder / "ds.yaml") << "defaults: [_self_]\nsource: {type: jsonl, kwargs: {path: " << (folder / "rows.jsonl").string()
                                    << "}}\ntokenizer: {enable: false, model: null}\nimage_folder: " << (folder / "images").string()
                                    << "\noutput: none\nnum_processes: 2\nprocesses:\n- {type: shuffle, kwargs: {seed: 42}}\n";
  const Result one = run({"preprocess_ds", "-c", folder / "ds.yaml", "output=" + (folder / "one.parquet").string()});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_TRUE(fs::is_regular_file(folder / "one.parquet"));
  std::ofstream(folder / "merge.yaml") << "base_llm: llm\nattachment_token: <|reserved_special_token_0|>\ndatasets:\n- jsonl_path: "
                                       << (folder / "rows.jsonl").string() << "\n  tokenized_path: " << (folder / "merged").string()
                                       << "\n  registry_type: path\n  preprocessor_kwargs: {base_path: " << (folder / "images").string()
                                       << "}\n  check_input: true\n  num_processes: 2\n";
  const Result merged = run({"preprocess", "--config", folder / "merge.yaml", "--json"});
  EXPECT_EQ(merged.code, 0) << merged.err;
  EXPECT_NE(merged.out.find("\"rows\":12"), std::string::npos) << merged.out;
  EXPECT_TRUE(fs::exists(folder / "merged/state.json"));
}

// Killed at any instant, the same command ends with the same bytes.
TEST(PreprocessCommand, KilledWorkGoesOn) {
  const TemporaryFolder folder;
  write_rows(folder.path(), 3000);
  const auto command = [&](const std::string& output) {
    return std::vector<std::string>{PROGRAM,    "preprocess",    folder / "rows.jsonl", "--image-folder", folder / "images",
                                    "--output", folder / output, "--shard-size",        "20kB",           "--quiet"};
  };
  EXPECT_EQ(run_command(command("whole")).code, 0);
  for (int i = 0; i < 4; ++i) {
    std::vector<std::string> words = command("killed");
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
    // The work takes a little longer than the program's start.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!fs::exists(folder / "killed.partial") && !fs::exists(folder / "killed") && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 60 * i));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  const Result last = run_command(command("killed"));
  EXPECT_EQ(last.code, 0) << last.err;
  EXPECT_EQ(contents(folder / "killed"), contents(folder / "whole"));
}

TEST(PreprocessCommand, PythonsDatasetsAndPillowReadItsOutput) {
  const char* named = std::getenv("MULTIMEDITRON_TEST_PYTHON");
  const std::string python = named != nullptr ? named : "python3";
  if (std::system((python + " -c 'import datasets, PIL' >/dev/null 2>&1").c_str()) != 0) {
    GTEST_SKIP() << python << " has no datasets and Pillow; MULTIMEDITRON_TEST_PYTHON names another";
  }
  const TemporaryFolder folder;
  write_rows(folder.path(), 250);
  for (const char* format : {"arrow", "parquet"}) {
    const Result result = run({"preprocess", folder / "rows.jsonl", "--image-folder", folder / "images", "--output", folder / format,
                               "--format", format, "--shard-size", "9kB", "--quiet"});
    EXPECT_EQ(result.code, 0) << result.err;
  }
  const Result read = run_command({python, std::string(TEST_DATA) + "/../reference/preprocessed_data_sets.py", folder / "rows.jsonl",
                                   folder / "images", folder / "arrow", folder / "parquet"});
  EXPECT_EQ(read.code, 0) << read.err;
}

}  // namespace
}  // namespace multimeditron::testing
