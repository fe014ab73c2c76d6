#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cli/program.h"
#include "evaluation/scoring.h"
#include "generation/parity_case.h"

// The whole program on the worked example's random model: what it writes, and what it says of mistakes.
namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::ParityCase;

struct EvaluateCommandTest : ::testing::Test {
  EvaluateCommandTest() {
    for (const char* name : {"000.png", "001.jpg", "002.png", "003.png"})
      fs::copy_file(fs::path("data/jsonl/images") / name, folder / name);
    std::ofstream(folder / "test.jsonl") << test_lines();
  }

  /// Two kinds on four images, and a question without an image.
  static std::string test_lines() {
    const struct {
      const char *image, *question, *answer, *kind;
    } rows[] = {{"000.png", "Which organ?", "lung", "organ"},  {"000.png", "Is it seen?", "yes", "seen"},
                {"001.jpg", "Which organ?", "liver", "organ"}, {"001.jpg", "Is it seen?", "no", "seen"},
                {"002.png", "Which organ?", "lung", "organ"},  {"003.png", "Which organ?", "skin", "organ"}};
    std::string lines;
    for (const auto& each : rows)
      lines += Json{{"image", each.image}, {"question", each.question}, {"answer", each.answer}, {"kind", each.kind}}.dump() + "\n";
    return lines + R"({"question": "How many?", "answer": "two", "kind": "fact", "id": "no-image"})" + "\n";
  }

  testing::Result evaluate(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"evaluate", "--model", checkpoint, "--output", folder / "out", "--max-new-tokens", "5"});
    return testing::run(arguments);
  }

  Json results() { return read_json(folder / "out/results.json"); }
  std::vector<Json> predictions(const std::string& task) {
    std::vector<Json> lines;
    std::istringstream stream(content_of(folder / ("out/predictions-" + task + ".jsonl")));
    for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
    return lines;
  }

  void expect_error(const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const auto result = evaluate(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    for (const std::string& part : parts)
      EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;
  }

  const ParityCase parity{"case_qwen3_clip"};
  const std::string checkpoint = "cases/qwen3_clip/checkpoint";
  TemporaryFolder folder;
};

TEST_F(EvaluateCommandTest, WritesScoresPredictionsAndAttention) {
  const auto result = evaluate({"--tasks", folder / "test.jsonl"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json task = results()["test"];
  EXPECT_EQ(task["exact_match"]["overall"]["n"], 7);
  EXPECT_EQ(task["exact_match"]["yes_no"]["n"], 2);
  EXPECT_EQ(task["exact_match"]["groups"]["kind"]["organ"]["n"], 4);
  EXPECT_EQ(task["baselines"]["majority"]["groups"]["kind"]["organ"]["accuracy"], 50.0);
  EXPECT_EQ(task["baselines"]["majority"]["groups"]["kind"]["organ"]["answer"], "lung");
  for (const char* name : {"blind", "swapped"}) EXPECT_EQ(task["baselines"][name]["overall"]["n"], 7);
  EXPECT_EQ(task["data"], fs::absolute(folder / "test.jsonl").string());
  EXPECT_EQ(task["model"], (parity.root / checkpoint).string());
  EXPECT_EQ(task["images"], 4);
  EXPECT_TRUE(task["unusable"].empty());
  EXPECT_GT(task["generated_tokens"], 0);
  EXPECT_GT(task["seconds"], 0);

  const auto rows = predictions("test");
  ASSERT_EQ(rows.size(), 7U);
  EXPECT_EQ(rows[0]["id"], "1");
  EXPECT_EQ(rows[6]["id"], "no-image");
  for (const Json& row : rows) {
    EXPECT_EQ(row["task"], "test");
    EXPECT_EQ(row["score"], exact_match(row["answer"].get<std::string>(), row["reference"].get<std::string>()));
    if (row["image"].is_null()) continue;
    EXPECT_NE(row["swapped_image"], row["image"]);
    EXPECT_TRUE(row["swapped_image"].is_string());
  }
  EXPECT_EQ(rows[6]["blind_answer"], rows[6]["answer"]) << "without an image there is nothing to be blind for";
  EXPECT_FALSE(rows[6].contains("swapped_answer"));

  const Json samples = read_json(folder / "out/attention-test.json")["samples"];
  ASSERT_EQ(samples.size(), 6U);
  for (const Json& sample : samples) {
    EXPECT_EQ(sample["grid"], Json::parse("[3, 3]"));
    double sum = 0;
    for (const Json& weight : sample["weights"]) sum += weight.get<double>();
    EXPECT_NEAR(sum, sample["image_share"].get<double>(), 1e-5);
    EXPECT_GT(sum, 0);
    EXPECT_LT(sum, 1);
  }

  EXPECT_NE(result.out.find("test: 7 questions on 4 images\n"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("results.json, predictions-test.jsonl, attention-test.json\n"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("test: answers"), std::string::npos) << result.out;
}

TEST_F(EvaluateCommandTest, AnswersAreThoseOfGenerateOnTheSameImage) {
  ASSERT_EQ(evaluate({"--tasks", folder / "test.jsonl"}).code, 0);
  for (const Json& row : predictions("test")) {
    const auto ask = [&](const std::string& image) {
      std::vector<std::string> arguments{"generate", "--model", checkpoint, "--max-new-tokens", "5", "--json"};
      if (!image.empty()) arguments.insert(arguments.end(), {"--image", folder / image});
      arguments.push_back(row["question"]);
      return std::string(stripped(Json::parse(testing::run(arguments).out)["text"].get<std::string>()));
    };
    EXPECT_EQ(row["blind_answer"], ask("")) << row["id"];
    if (row["image"].is_null()) continue;
    EXPECT_EQ(row["answer"], ask(row["image"])) << row["id"];
    EXPECT_EQ(row["swapped_answer"], ask(row["swapped_image"])) << row["id"];
  }
}

TEST_F(EvaluateCommandTest, TheSizeOfABatchChangesNoAnswer) {
  ASSERT_EQ(evaluate({"--tasks", folder / "test.jsonl"}).code, 0);
  const auto together = predictions("test");
  for (const char* size : {"1", "3"}) {
    ASSERT_EQ(evaluate({"--tasks", folder / "test.jsonl", "--batch-size", size}).code, 0);
    EXPECT_EQ(predictions("test"), together) << size;
  }
}

TEST_F(EvaluateCommandTest, OneSeedOneResultToTheByte) {
  const auto run = [&](const std::string& seed) {
    EXPECT_EQ(evaluate({"--tasks", folder / "test.jsonl", "--seed", seed}).code, 0);
    Json task = results()["test"];
    task.erase("seconds");
    return std::array<std::string, 3>{task.dump(), content_of(folder / "out/predictions-test.jsonl"),
                                      content_of(folder / "out/attention-test.json")};
  };
  const auto first = run("0");
  EXPECT_EQ(run("0"), first);
  EXPECT_NE(run("5")[2], first[2]);
}

TEST_F(EvaluateCommandTest, SeveralTasksByNameAndPrintedAsJson) {
  const auto result = evaluate({"--tasks", "mine," + (folder / "test.jsonl").string(), "--data", "mine=" + (folder / "test.jsonl").string(),
                                "--limit", "2", "--no-baselines", "--attention", "0", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out), results());
  for (const char* task : {"mine", "test"}) {
    EXPECT_EQ(results()[task]["exact_match"]["overall"]["n"], 2);
    EXPECT_FALSE(results()[task]["baselines"].contains("blind"));
    EXPECT_FALSE(predictions(task)[0].contains("swapped_answer"));
    EXPECT_FALSE(fs::exists(folder / ("out/attention-" + std::string(task) + ".json")));
  }
  // A later evaluation of another task leaves these where they are.
  ASSERT_EQ(evaluate({"--tasks", "again", "--data", "again=" + (folder / "test.jsonl").string(), "--limit", "1", "--quiet"}).code, 0);
  EXPECT_EQ(results().size(), 3U);
}

TEST_F(EvaluateCommandTest, ATaskOfADataRootIsFoundByItsName) {
  const auto result = evaluate({"--tasks", "test", "--data-root", folder.path(), "--limit", "1", "--quiet", "--window", "lung"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(results()["test"]["exact_match"]["overall"]["n"], 1);
  EXPECT_EQ(results()["test"]["data_root"], folder.path().string());
  EXPECT_EQ(results()["test"]["settings"]["window"], "lung");
  EXPECT_EQ(result.out.find("answers"), std::string::npos) << "quiet: " << result.out;
}

TEST_F(EvaluateCommandTest, ResultsOfARunLieInItsFolder) {
  fs::create_directories(folder / "run");
  fs::copy(checkpoint, folder / "run/checkpoint-7", fs::copy_options::recursive);
  const auto result = testing::run({"evaluate", "--model", folder / "run", "--tasks", folder / "test.jsonl", "--limit", "1", "--quiet"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(read_json(folder / "run/evaluation/results.json")["test"]["model"], (folder / "run/checkpoint-7").string());
}

TEST_F(EvaluateCommandTest, ImagesThatCannotBeReadAreListedAndNotScored) {
  std::ofstream(folder / "bad.png") << "no image";
  std::ofstream(folder / "bad.jsonl") << test_lines() << R"({"image": "gone.png", "question": "?", "answer": "x", "id": "a"})"
                                      << "\n"
                                      << R"({"image": "bad.png", "question": "?", "answer": "x", "id": "b"})"
                                      << "\n";
  const auto result = evaluate({"--tasks", folder / "bad.jsonl", "--no-baselines", "--attention", "0"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("bad.jsonl, line 8: left out, gone.png"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("2 rows left out"), std::string::npos) << result.out;
  const Json task = results()["bad"];
  EXPECT_EQ(task["exact_match"]["overall"]["n"], 7);
  ASSERT_EQ(task["unusable"].size(), 2U);
  EXPECT_EQ(task["unusable"][0]["id"], "a");
  EXPECT_EQ(task["unusable"][1]["line"], 9);
  EXPECT_NE(task["unusable"][1]["reason"].get<std::string>().find("unidentified"), std::string::npos);
  EXPECT_EQ(predictions("bad").size(), 7U);
}

TEST_F(EvaluateCommandTest, MistakesAreNamed) {
  const std::string task = folder / "test.jsonl";
  expect_error({"--tasks", "pathvqa", "--data", "path_vqa=" + task}, {"unknown task `pathvqa`", "did you mean `path_vqa`"});
  expect_error({"--tasks", task, "--window", "lungs"}, {"`--window`", "lungs"});
  expect_error({"--tasks", "gmai"}, {"unknown task `gmai`", "--data gmai=FILE"});
  expect_error({"--tasks", folder / "none.jsonl"}, {"none.jsonl", "no such file"});
  expect_error({"--tasks", task + "," + task}, {"the same name", "--data NAME=FILE"});
  expect_error({"--data", "a b=" + task}, {"part of a file's name", "a b"});
  expect_error({"--data", task}, {"`--data` takes a name and a file"});
  expect_error({"--tasks", task, "--batch-size", "many"}, {"--batch-size", "many"});
  expect_error({}, {"`--tasks` is missing"});
  std::ofstream(folder / "lines.jsonl") << "{\"question\": \"?\"}\n{}\n";
  expect_error({"--tasks", folder / "lines.jsonl"}, {"lines.jsonl, line 1", "no `answer`", "lines.jsonl, line 2", "2 mistakes"});
  std::ofstream(folder / "gone.jsonl") << R"({"image": "gone.png", "question": "?", "answer": "x"})"
                                       << "\n";
  expect_error({"--tasks", folder / "gone.jsonl"}, {"gone.jsonl", "1 of 1 rows", "gone.png"});
  fs::create_directories(folder / "out");
  std::ofstream(folder / "out/results.json") << "[]";
  expect_error({"--tasks", task}, {"results.json", "--output"});
}

TEST_F(EvaluateCommandTest, AModelWithoutEyesIsToldSoAtOnce) {
  const auto result = testing::run({"evaluate", "--model", "llm/qwen3", "--tasks", folder / "test.jsonl", "--output", folder / "out"});
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("takes no images"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace multimeditron
