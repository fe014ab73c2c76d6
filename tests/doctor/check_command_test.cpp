#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "cli/program.h"
#include "doctor/pictures.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kCase = fs::path(TEST_DATA) / "case_qwen3_clip";
const std::vector<std::string> kEnvironment = {"CASE_ROOT=" + kCase.string(), "OUT=/tmp"};
const std::string kRecipe = (kCase / "cases/qwen3_clip/alignment.yaml").string();
const std::string kToken = "<|reserved_special_token_0|>";

Result check(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "check");
  return run(arguments, kEnvironment);
}

/// A folder with a training and a test set: image 1 is in both, once as PNG and once as JPEG.
class Data {
 public:
  Data() {
    std::ofstream train(folder_ / "train.jsonl"), test(folder_ / "test.jsonl");
    for (int i = 0; i < 6; ++i) {
      const std::string name = "train-" + std::to_string(i) + ".png";
      write_file_atomic(folder_ / name, encode_png(picture(static_cast<uint64_t>(i))));
      train << line("Secretname number " + std::to_string(i), name);
    }
    train << line("Secretname whose image is lost", "lost.png");
    write_file_atomic(folder_ / "test-0.jpg", encode_jpeg(picture(1), 70));
    write_file_atomic(folder_ / "test-1.jpg", encode_jpeg(picture(60), 70));
    test << R"({"id": "a", "image": "test-0.jpg", "question": "Secretname?", "answer": "No"})" << '\n'
         << R"({"id": "b", "image": "test-1.jpg", "question": "What is it?", "answer": "A CT"})" << '\n';
  }
  std::string train() const { return folder_ / "train.jsonl"; }
  std::string test() const { return folder_ / "test.jsonl"; }
  fs::path file(const std::string& name) const { return folder_ / name; }

 private:
  static std::string line(const std::string& text, const std::string& image) {
    const Json row = {
        {"conversations", {{{"role", "user"}, {"content", kToken + text}}, {{"role", "assistant"}, {"content", "An answer."}}}},
        {"modalities", {{{"type", "image"}, {"value", image}}}},
        {"source", 7}};
    return row.dump() + "\n";
  }

  TemporaryFolder folder_;
};

TEST(CheckCommand, ARecipeIsLookedAtWithItsModelAndData) {
  const Result result = check({kRecipe, "--json"});
  EXPECT_EQ(result.code, 0) << result.err << result.out;
  const Json report = Json::parse(result.out);
  EXPECT_EQ(report["ok"], true);
  EXPECT_EQ(report["recipe"], kRecipe);
  for (const char* key :
       {"errors", "warnings", "notes", "fingerprint", "missing", "recipes", "data_sets", "duplicates", "complete", "seconds"})
    EXPECT_TRUE(report.contains(key)) << key;
  ASSERT_EQ(report["data_sets"].size(), 1U);
  const Json& set = report["data_sets"][0];
  // The worked example's samples, computed by transformers.
  const Json expected = read_json(kCase / "cases/qwen3_clip/expected.json")["samples"];
  int64_t tokens = 0, learnt = 0;
  for (const Json& sample : expected) {
    tokens += std::ssize(sample["input_ids"]);
    for (const Json& label : sample["labels"]) learnt += label.get<int64_t>() != -100;
  }
  EXPECT_EQ(set["rows"], expected.size());
  EXPECT_EQ(set["tokens"], tokens);
  EXPECT_EQ(set["learnt_tokens"], learnt);
  EXPECT_EQ(set["bad_rows"], 0);
  EXPECT_EQ(set["columns"][0]["name"], "conversations");
  EXPECT_EQ(set["columns"][0]["used"], true);
  const Result text = check({kRecipe});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find(kRecipe + ": ok\n"), std::string::npos) << text.out;
}

TEST(CheckCommand, WhatTheModelsConfigurationRefusesIsAMistake) {
  const struct {
    const char* change;
    const char* message;
  } cases[] = {{"tokenizer_type=llama", "the tokenizer is not one of tokenizer_type llama"},
               {"token_size=128", "token_size differs from the language model's hidden_size"}};
  for (const auto& each : cases) {
    const std::string width = std::string(each.change).starts_with("token_size") ? "128" : "64";
    const Result result = check({kRecipe, each.change, "modalities.0.hidden_size=" + width});
    EXPECT_EQ(result.code, 2) << each.change;
    EXPECT_NE((result.err + result.out).find(each.message), std::string::npos) << result.err << result.out;
  }
  const Json report = Json::parse(check({kRecipe, "tokenizer_type=llama", "--json"}).out);
  EXPECT_EQ(report["ok"], false);
  EXPECT_EQ(report["errors"].size(), 1U);
  EXPECT_EQ(report["recipes"][0]["ok"], false);
}

TEST(CheckCommand, SeveralRecipesAndDataSetsAtOnce) {
  const Data data;
  const Result result = check({kRecipe, (kCase / "cases/qwen3_clip/end2end.yaml").string(), data.train(), "--json"});
  EXPECT_EQ(result.code, 0) << result.err << result.out;
  const Json report = Json::parse(result.out);
  EXPECT_EQ(report["recipes"].size(), 2U);
  EXPECT_FALSE(report.contains("recipe"));
  ASSERT_EQ(report["data_sets"].size(), 3U);
  EXPECT_EQ(report["data_sets"][2]["name"], data.train());
  EXPECT_EQ(report["data_sets"][2]["bad_rows"], 1);
  // Both recipes list the same data: every row of the second repeats one.
  EXPECT_EQ(report["duplicates"]["rows"], report["data_sets"][0]["rows"]);
}

TEST(CheckCommand, FindsTestImagesInTrainingAndSaysNothingOfTheRowsText) {
  const Data data;
  const std::string page = data.file("out/check.html").string();
  const Result result = check({data.train(), "--test", data.test(), "--output", data.file("out").string()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("1 of 2 test images are in training: 0 the same, 1 nearly"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("the columns source (number)"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("1 row whose image file is missing"), std::string::npos) << result.out;
  for (const std::string part : {"train.jsonl, line 7 (image 1:", "/lost.png)", "fix: copy it there, or name the folder"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in " << result.out;
  const Json report = read_json(data.file("out/check.json"));
  const Json& pair = report["contamination"]["images"][0];
  EXPECT_EQ(pair["test"]["row"], 0);
  EXPECT_EQ(pair["train"]["row"], 1);
  EXPECT_EQ(report["data_sets"][1]["test"], true);
  const std::string html = content_of(page);
  EXPECT_NE(html.find("data:image/jpeg;base64,"), std::string::npos);
  for (const std::string& text : {result.out, result.err, report.dump(), html}) EXPECT_EQ(text.find("Secretname"), std::string::npos);
  EXPECT_EQ(html.find("http://"), html.find("http://www.w3.org/2000/svg"));  // a name, not an address
  EXPECT_EQ(html.find("https://"), std::string::npos);

  EXPECT_EQ(check({data.train(), "--test", data.test(), "--html", page, "--show-samples"}).code, 0);
  EXPECT_NE(content_of(page).find("Secretname"), std::string::npos);
  EXPECT_EQ(check({data.train(), "--test", data.test(), "--html", page, "--no-images"}).code, 0);
  EXPECT_EQ(content_of(page).find("data:image/"), std::string::npos);

  const Result strict = check({data.train(), "--test", data.test(), "--strict"});
  EXPECT_EQ(strict.code, 2);
  EXPECT_NE(strict.err.find("test data are in training"), std::string::npos) << strict.err;
}

/// In all forms, with the images in files and in a column, relative to their own file whatever `--base-path` says of the training data.
TEST(CheckCommand, FindsTheQuestionsThatEvaluateTakes) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "images");
  fs::create_directories(folder / "test");
  const std::string picture_1 = encode_jpeg(picture(1), 90);
  write_file_atomic(folder / "images/a.jpg", picture_1);
  write_file_atomic(folder / "test/b.jpg", picture_1);
  const std::string question = "Which of the eight organs that are listed does this slice show";
  const auto turn = [](const char* role, const std::string& content) { return Json{{"role", role}, {"content", content}}; };
  std::ofstream(folder / "train.jsonl")
      << Json{{"image", "a.jpg"}, {"conversations", {turn("user", kToken + question), turn("assistant", "the liver")}}}.dump() << "\n";
  std::ofstream(folder / "test/q.jsonl") << Json{{"image", "b.jpg"}, {"question", question}, {"answer", "the liver"}}.dump() << "\n";
  std::ofstream(folder / "test/q.csv") << "image,question,answer\nb.jpg," << question << ",the liver\n";
  std::ofstream(folder / "test/q.tsv") << "index\timage\tquestion\tanswer\n7\t" << run_command({"base64", "-w0", folder / "test/b.jpg"}).out
                                       << "\t" << question << "\tthe liver\n";
  for (const char* name : {"q.jsonl", "q.csv", "q.tsv"}) {
    const Result result =
        check({folder / "train.jsonl", "--base-path", folder / "images", "--test", folder / (std::string("test/") + name), "--json"});
    ASSERT_EQ(result.code, 0) << name << result.err << result.out;
    const Json report = Json::parse(result.out);
    EXPECT_EQ(report["data_sets"][1]["bad_rows"], 0) << report["data_sets"][1];
    EXPECT_EQ(report["contamination"]["exact_images"], 1) << name;
    EXPECT_EQ(report["contamination"]["rows_by_both"], 1) << name;
  }
  std::ofstream(folder / "test/q.csv") << "image,question,answer\nb.jpg,What?,\n";
  const Result refused = check({folder / "train.jsonl", "--base-path", folder / "images", "--test", folder / "test/q.csv"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("q.csv, line 2"), std::string::npos) << refused.err;
}

TEST(CheckCommand, RowsOfOtherProgramsAreNamedAndConvertedAsTheDocsSay) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.png", encode_png(picture(1)));
  const Json sharegpt = {
      {"image", "a.png"},
      {"conversations", {{{"from", "human"}, {"value", "<image>\nWhat is it?"}}, {{"from", "gpt"}, {"value", "A CT."}}}}};
  const Json parts = {{{"type", "text"}, {"text", "What is it?"}}, {{"type", "image_url"}, {"image_url", {{"url", "a.png"}}}}};
  const Json openai = {{"messages", {{{"role", "user"}, {"content", parts}}, {{"role", "assistant"}, {"content", "A CT."}}}}};
  std::ofstream(folder / "sharegpt.jsonl") << sharegpt.dump() << "\n";
  std::ofstream(folder / "openai.jsonl") << openai.dump() << "\n";
  const Result result = check({folder / "sharegpt.jsonl", "--json"});
  EXPECT_EQ(result.code, 2);
  for (const char* word : {"a turn of `from` and `value`, as ShareGPT has them", "Rows of other programs"})
    EXPECT_NE(result.out.find(word), std::string::npos) << word << " in " << result.out;
  const Result refused = check({folder / "openai.jsonl"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("Rows of other programs"), std::string::npos) << refused.err;

  const std::string docs = content_of(fs::path(TEST_DATA) / "../../docs/data.md"), begin = "```python title=convert.py\n";
  const size_t at = docs.find(begin) + begin.size();
  ASSERT_NE(docs.find(begin), std::string::npos);
  write_file_atomic(folder / "convert.py", docs.substr(at, docs.find("```", at) - at));
  for (const char* name : {"sharegpt.jsonl", "openai.jsonl"}) {
    const Result converted = run_command({"python3", folder / "convert.py", folder / name});
    ASSERT_EQ(converted.code, 0) << converted.err;
    write_file_atomic(folder / "train.jsonl", converted.out);
    const Json set = Json::parse(check({folder / "train.jsonl", "--json"}).out)["data_sets"][0];
    EXPECT_EQ(set["bad_rows"], 0) << set;
    EXPECT_EQ(set["images"]["uses"], 1) << set;
    EXPECT_EQ(set["roles"], (Json{{"assistant", 1}, {"user", 1}}));
  }
}

TEST(CheckCommand, MistakesEndWithCode2) {
  const Data data;
  const std::string file = data.file("bad.jsonl").string();
  std::ofstream rows(file);
  for (int i = 0; i < 30; ++i) rows << R"({"conversations": [{"role": "user", "content": "no answer"}]})" << '\n';
  rows << R"({"text": "a text"})" << '\n';
  rows.close();
  const struct {
    std::vector<std::string> arguments;
    std::vector<std::string> words;
  } cases[] = {
      {{}, {"`PATH` is missing"}},
      {{"no/such"}, {"no/such"}},
      {{file}, {"too many unusable samples", file, "30 of 31", "max_bad_samples"}},
      {{data.train(), "seed=1"}, {"changes without a recipe", "seed=1"}},
      {{data.train(), "--limit", "0"}, {"`--limit` is out of range"}},
      {{data.train(), "--max-bad-samples", "2"}, {"`--max-bad-samples` is out of range"}},
      {{data.train(), "--show-samples"}, {"`--show-samples` has no meaning without a page", "--html"}},
      {{data.train(), "--quiet", "--json"}, {"exclude each other"}},
      {{data.train(), "--threads", "5000000000"}, {"`--threads` is out of range", "1 to 4096"}},
      {{kRecipe, "--max-length", "100"}, {"`--max-length` has no meaning for recipes alone"}},
      {{data.train(), "--tokenizer", "no/such"}, {"no/such"}},
      {{data.train(), "--base-path", "no/such"}, {"no/such"}},
  };
  for (const auto& each : cases) {
    const Result result = check(each.arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    for (const std::string& word : each.words) EXPECT_NE(result.err.find(word), std::string::npos) << word << " in " << result.err;
  }
  EXPECT_EQ(check({file, "--max-bad-samples", "1"}).code, 0);
  EXPECT_EQ(check({file, "--json"}).code, 2);
}

TEST(CheckCommand, CountsTokensWithATokenizerThatIsGiven) {
  const Data data;
  const Result result = check({data.train(), "--tokenizer", (kCase / "llm/qwen3").string(), "--tokenizer-type", "qwen3",
                               "--embeddings-per-image", "9", "--max-sequence-length", "1000", "--max-length", "200", "--json"});
  ASSERT_EQ(result.code, 0) << result.err << result.out;
  const Json set = Json::parse(result.out)["data_sets"][0];
  EXPECT_EQ(set["lengths"]["unit"], "tokens");
  EXPECT_GT(set["lengths"]["min"], 9);
  EXPECT_EQ(set["truncation"]["rows"], 0);
  EXPECT_GE(set["packing"]["packs"], 1);

  // What is longer than a pack is bad, as with a recipe; a run's folder stands for its newest checkpoint.
  const TemporaryFolder folder;
  fs::create_directories(folder / "run");
  fs::copy(kCase / "cases/qwen3_clip/checkpoint", folder / "run/checkpoint-7", fs::copy_options::recursive);
  write_file_atomic(folder / "run/checkpoint-7/manifest.json",
                    R"({"format": "multimeditron-checkpoint", "version": 1, "step": 7, "files": {}})");
  const Result short_packs = check({data.train(), "--tokenizer", folder / "run", "--max-length", "12", "--json"});
  EXPECT_EQ(short_packs.code, 2) << short_packs.err << short_packs.out;
  const Json report = Json::parse(short_packs.out);
  ASSERT_EQ(report["data_sets"].size(), 1U) << report["errors"];
  EXPECT_EQ(report["data_sets"][0]["findings"][0]["id"], "too_long_for_pack") << report["data_sets"][0]["findings"];
  EXPECT_EQ(report["data_sets"][0]["findings"][0]["rows"], 7);
}

/// Whether the process catches the signal by now, or has ended.
bool listens_to(pid_t process, int signal) {
  std::istringstream lines(content_of(fmt::format("/proc/{}/status", process)));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("State:") && line.find('Z') != std::string::npos) return true;
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0;
  }
  return false;
}

TEST(CheckCommand, CtrlCGivesWhatHasBeenSeen) {
  const Data data;
  const std::string file = data.file("many.jsonl").string(), out = data.file("out.json").string();
  std::ofstream rows(file);
  for (int i = 0; i < 400'000; ++i) rows << R"({"text": "A text that is looked at, number )" << i << "\"}\n";
  rows.close();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0600), 1);
    ::execl(PROGRAM, PROGRAM, "check", file.c_str(), "--json", "--threads", "1", nullptr);
    ::_exit(127);
  }
  while (!listens_to(child, SIGINT)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(child, SIGINT);
  int status = 0;
  ::waitpid(child, &status, 0);
  const Json report = Json::parse(content_of(out), nullptr, false);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 75);
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report["complete"], false);
  EXPECT_LT(report["data_sets"][0]["examined"], 400'000);
}

}  // namespace
}  // namespace multimeditron::testing
