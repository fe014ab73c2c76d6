#include "report/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "image/image.h"
#include "report/thumbnails.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, const std::string& content) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
}

/// What a page's script will read: the text between the block's tags, as a browser finds it.
Json block_of(const std::string& page, const std::string& id) {
  const std::string tag = "<script type=\"application/json\" id=\"" + id + "\">";
  const size_t begin = page.find(tag) + tag.size();
  return Json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

/// The page's data; the images under `images`.
Json report_of(const std::vector<fs::path>& folders, const fs::path& output = {}) {
  const ReportSummary summary = write_report(folders, output);
  const std::string page = read_file(summary.file);
  EXPECT_EQ(static_cast<int64_t>(page.size()), summary.size_bytes);
  Json data = block_of(page, "report-data");
  data["images"] = block_of(page, "report-images");
  return data;
}

const std::string kSteps =
    R"({"event":"start","step":0,"seconds_to_first_step":0.5})"
    "\n"
    R"({"step":1,"epoch":0.5,"loss":2.5,"grad_norm":1.5,"learning_rate":0.001,"tokens":100,"samples":4,"seconds":0.5})"
    "\n"
    R"({"step":2,"epoch":1.0,"loss":2.25,"grad_norm":1.25,"learning_rate":0.0005,"tokens":110,"samples":4,"seconds":0.25,"logit_scale":14.5})"
    "\n";

void write_run(const fs::path& folder, const std::string& metrics, const std::string& state, const std::string& mode = "ALIGNMENT") {
  write(folder / "metrics.jsonl", metrics);
  write(folder / "STATE", state + "\n");
  write(folder / "recipe.yaml", "base_llm: llm\ntraining_mode: " + mode + "\n");
}

RgbImage noise(int64_t width, int64_t height, uint32_t seed) {
  RgbImage image{width, height, {}};
  for (int64_t i = 0; i < width * height * 3; ++i) {
    seed = seed * 1664525 + 1013904223;
    image.pixels.push_back(static_cast<uint8_t>(seed >> 24));
  }
  return image;
}

Json scores(double accuracy) {
  const Json one{{"n", 2}, {"accuracy", accuracy}, {"stderr", 10.0}, {"ci95", {accuracy - 10, accuracy + 10}}};
  return {{"overall", one}, {"groups", {{"kind", {{"finding", one}}}}}};
}

/// An evaluation of two questions on two images; the second file holds the same bytes as the first.
void write_evaluation(const fs::path& folder, const fs::path& data, const std::string& answer = "yes") {
  write(data / "a.png", encode_png(noise(40, 20, 1)));
  write(data / "b.png", encode_png(noise(40, 20, 1)));
  write(data / "test.jsonl", "");
  const Json results{{"test",
                      {{"exact_match", scores(50)},
                       {"baselines", {{"majority", scores(40)}, {"blind", scores(35)}, {"swapped", scores(30)}}},
                       {"data", (data / "test.jsonl").string()},
                       {"model", "runs/end2end/checkpoint-3"},
                       {"seconds", 1.5}}}};
  write(folder / "results.json", results.dump());
  const auto line = [&](const char* id, const char* image, const char* other, const std::string& given, int score) {
    return Json{{"id", id},
                {"task", "test"},
                {"image", image},
                {"question", "Is there a lesion?"},
                {"kind", "finding"},
                {"reference", "yes"},
                {"answer", given},
                {"score", score},
                {"blind_answer", "no"},
                {"blind_score", 0},
                {"swapped_answer", "no"},
                {"swapped_image", other},
                {"swapped_score", 0}}
               .dump() +
           "\n";
  };
  write(folder / "predictions-test.jsonl", line("1", "a.png", "b.png", answer, 1) + line("2", "missing.png", "a.png", "no", 0));
  write(
      folder / "attention-test.json",
      R"({"samples": [{"id": "1", "image": "b.png", "question": "q", "reference": "yes", "answer": "yes", "token": "yes", "grid": [1, 2],)"
      R"( "weights": [0.1, 0.4], "image_share": 0.5, "region": [0.25, 0, 0.75, 1]}]})");
}

TEST(Report, HoldsARunsCurvesTotalsEventsAndRecipe) {
  const TemporaryFolder folder;
  write_run(folder / "stage1", kSteps + R"({"event":"end","step":2,"seconds":0.75,"peak_memory_bytes":1000,"data_wait_s":0.01})" + "\n",
            "finished");
  const Json data = report_of({folder / "stage1"});
  EXPECT_TRUE(fs::exists(folder.path() / "stage1" / "report.html"));
  EXPECT_EQ(data["title"], "stage1");
  ASSERT_EQ(data["runs"].size(), 1U);
  const Json& run = data["runs"][0];
  EXPECT_EQ(run["name"], "stage1");
  EXPECT_EQ(run["state"], "finished");
  EXPECT_EQ(run["mode"], "ALIGNMENT");
  EXPECT_EQ(run["recipe"], "base_llm: llm\ntraining_mode: ALIGNMENT\n");
  EXPECT_EQ(run["columns"]["step"], Json({1, 2}));
  EXPECT_EQ(run["columns"]["loss"], Json({2.5, 2.25}));
  EXPECT_EQ(run["columns"]["learning_rate"], Json({0.001, 0.0005}));
  EXPECT_EQ(run["columns"]["logit_scale"], Json({nullptr, 14.5}));  // not every line has it
  EXPECT_EQ(run["totals"], Json({{"steps", 2}, {"last_step", 2}, {"samples", 8.0}, {"seconds", 0.75}, {"tokens", 210.0}}));
  EXPECT_EQ(run["events"].size(), 2U);
  EXPECT_EQ(run["events"][1]["peak_memory_bytes"], 1000);
  EXPECT_TRUE(data["evaluations"].empty());
  EXPECT_TRUE(data["images"].empty());
}

/// What a gate takes for what; a report that is none leaves the run as it is.
TEST(Report, HoldsWhatAGateTakesForWhat) {
  const TemporaryFolder folder;
  write_run(folder / "gate", kSteps, "finished");
  const Json test{
      {"images", 3}, {"accuracy", 2.0 / 3}, {"per_class", {{{"class", "CT"}}, {{"class", "MRI"}}}}, {"confusion", {{1, 1}, {0, 1}}}};
  const Json report{{"gate", "best"}, {"epoch", 4}, {"classes", {"CT", "MRI"}}, {"test", test}};
  write(folder / "gate/gate_report.json", report.dump());
  const Json gate = report_of({folder / "gate"})["runs"][0]["gate"];
  EXPECT_EQ(gate["classes"], Json({"CT", "MRI"}));
  EXPECT_EQ(gate["epoch"], 4);
  EXPECT_EQ(gate["test"], test);
  for (const char* broken : {"", "[1]", "{\"test\": "}) {
    write(folder / "gate/gate_report.json", broken);
    EXPECT_TRUE(report_of({folder / "gate"})["runs"][0]["gate"].empty());
  }
}

TEST(Report, HoldsHowAnExpertRecognisesClasses) {
  const TemporaryFolder folder;
  write_run(folder / "expert", kSteps, "finished");
  EXPECT_TRUE(report_of({folder / "expert"})["runs"][0]["zero_shot"].empty());
  const Json found{{"images", 3}, {"accuracy", 2.0 / 3}, {"classes", {"liver", "spleen"}}, {"confusion", {{1, 1}, {0, 1}}}};
  write(folder / "expert/zero_shot.json", found.dump());
  EXPECT_EQ(report_of({folder / "expert"})["runs"][0]["zero_shot"], found);
}

TEST(Report, ShowsARunThatIsBeingWrittenAsFarAsItCame) {
  const TemporaryFolder folder;
  write_run(folder / "torn", kSteps + R"({"step":3,"lo)", "running");
  write_run(folder / "stopped", kSteps + R"({"event":"interrupted","step":2,"signal":"SIGTERM"})" + "\n", "interrupted");
  write(folder / "started/recipe.yaml", "training_mode: FULL\n");  // no line of metrics yet
  write(folder / "started/STATE", "running\n");
  const Json data = report_of({folder.path()}, folder / "page.html");
  ASSERT_EQ(data["runs"].size(), 3U);
  EXPECT_EQ(data["runs"][0]["name"], "started");
  EXPECT_EQ(data["runs"][0]["totals"]["steps"], 0);
  EXPECT_EQ(data["runs"][1]["state"], "interrupted");
  EXPECT_EQ(data["runs"][2]["columns"]["step"], Json({1, 2}));
}

TEST(Report, ThinsALongRunToMeansOverEquallyManySteps) {
  const TemporaryFolder folder;
  std::string lines;
  for (int step = 1; step <= 4000; ++step) {
    lines += Json{{"step", step}, {"loss", step % 3 == 0 ? 9.0 : 0.0}, {"learning_rate", step}, {"tokens", 1}}.dump() + "\n";
  }
  write_run(folder / "long", lines, "finished");
  const Json run = report_of({folder / "long"})["runs"][0];
  EXPECT_EQ(run["steps_per_point"], 3);
  ASSERT_EQ(run["columns"]["loss"].size(), 1334U);
  EXPECT_EQ(run["columns"]["loss"][0], 3.0);
  EXPECT_EQ(run["columns"]["step"][0], 3);
  EXPECT_EQ(run["columns"]["learning_rate"][1], 6);
  EXPECT_EQ(run["columns"]["step"].back(), 4000);
  EXPECT_EQ(run["totals"]["tokens"], 4000.0);
}

TEST(Report, HoldsAnEvaluationsScoresAnswersImagesAndAttention) {
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data");
  const Json data = report_of({folder / "evaluation"});
  ASSERT_EQ(data["evaluations"].size(), 1U);
  const Json& task = data["evaluations"][0];
  EXPECT_EQ(task["task"], "test");
  EXPECT_EQ(task["scorer"], "exact_match");
  EXPECT_EQ(task["scores"], scores(50));
  EXPECT_EQ(task["baselines"]["blind"], scores(35));
  EXPECT_EQ(task["num_samples"], 2);
  EXPECT_EQ(task["samples"][0]["answer"], "yes");
  EXPECT_EQ(task["samples"][0]["image"], 0);
  EXPECT_EQ(task["samples"][0]["swapped_image"], 0);  // the same bytes under another name stand once
  EXPECT_EQ(task["samples"][1]["image"], -1);         // missing
  EXPECT_EQ(task["attention"][0]["weights"], Json({0.25, 1.0}));
  EXPECT_EQ(task["attention"][0]["region"], Json({0.25, 0, 0.75, 1}));
  ASSERT_EQ(data["images"].size(), 1U);
  EXPECT_TRUE(data["images"][0].get<std::string>().starts_with("data:image/jpeg;base64,/9j/"));
}

TEST(Report, ADemosPhasesOrderItsRuns) {
  const TemporaryFolder folder;
  for (const char* name : {"alignment", "warmup", "extra"}) write_run(folder / name, kSteps, "finished");
  write(folder / "recipes/warmup.yaml", "# as written\n");
  write(folder / "recipes/alignment.yaml", "# the same\n");
  write(folder / "data/contact-sheet.png", encode_png(noise(30, 30, 2)));
  write(folder / "demo.json",
        R"({"seed": 7, "phases": [{"name": "data", "seconds": 1.5, "folder": ""}, {"name": "warmup", "seconds": 2, "folder": "warmup"},)"
        R"( {"name": "alignment", "seconds": 3, "folder": "alignment/"}, {"name": "evaluation", "seconds": 3, "folder": "evaluation/"}]})");
  write_evaluation(folder / "evaluation", folder / "data");
  write_run(folder / "alignment.old-1", kSteps, "interrupted");
  const Json data = report_of({folder.path()});
  ASSERT_EQ(data["demos"].size(), 1U);
  const Json& demo = data["demos"][0];
  EXPECT_EQ(demo["seed"], 7);
  std::vector<std::string> folders;
  for (const Json& phase : demo["phases"]) folders.push_back(phase["folder"]);
  EXPECT_EQ(folders, (std::vector<std::string>{"", "warmup", "alignment", "evaluation"}));
  std::vector<std::string> names;
  for (const Json& run : data["runs"]) names.push_back(run["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"warmup", "alignment", "extra"}));
  EXPECT_EQ(demo["recipes"], Json::parse(R"([{"name": "recipes/warmup.yaml", "recipe": "# as written\n"},
                                          {"name": "recipes/alignment.yaml", "recipe": "# the same\n"}])"));
  EXPECT_TRUE(demo["contact_sheet"].get<std::string>().starts_with("data:image/"));
  EXPECT_EQ(data["evaluations"].size(), 1U);
}

TEST(Report, EveryDemoFindsItsOwnRunsAmongOthers) {
  const TemporaryFolder folder;
  for (const char* name : {"one", "two"}) {
    for (const char* run : {"runs/second", "runs/first"}) write_run(folder / name / run, kSteps, "finished");
    write(folder / name / "demo.json", R"({"seed": 1, "phases": [{"name": "first", "folder": "runs/first"}, {"name": "second",)"
                                       R"( "folder": "runs/second"}, {"name": "none", "folder": "runs/none"}]})");
  }
  write_run(folder / "again", kSteps, "finished");
  const auto names_of = [](const Json& runs) {
    std::vector<std::string> names;
    for (const Json& run : runs) names.push_back(run["name"]);
    return names;
  };
  const auto folders_of = [](const Json& demo) {
    std::vector<std::string> folders;
    for (const Json& phase : demo["phases"]) folders.push_back(phase["folder"]);
    return folders;
  };
  const std::vector<std::string> first{"one/runs/first", "one/runs/second", ""}, second{"two/runs/first", "two/runs/second", ""};
  const Json given = report_of({folder / "again", folder / "one", folder / "two/"});
  EXPECT_EQ(names_of(given["demos"]), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(folders_of(given["demos"][0]), first);
  EXPECT_EQ(folders_of(given["demos"][1]), second);
  EXPECT_EQ(names_of(given["runs"]), (std::vector<std::string>{first[0], first[1], second[0], second[1], "again"}));
  const Json above = report_of({folder.path()}, folder / "page.html");  // the runs lie three levels below it
  EXPECT_EQ(folders_of(above["demos"][0]), first);
  EXPECT_EQ(folders_of(above["demos"][1]), second);
  // A run that is given by itself as well stands once, and is still its demo's.
  const Json twice = report_of({folder / "one/runs/second", folder / "one"}, folder / "page.html");
  EXPECT_EQ(names_of(twice["runs"]), (std::vector<std::string>{"one/runs/first", "second"}));
  EXPECT_EQ(folders_of(twice["demos"][0]), (std::vector<std::string>{"one/runs/first", "second", ""}));
}

TEST(Report, FoldersOfOneNameAreNamedWithTheirParents) {
  const TemporaryFolder folder;
  for (const char* name : {"a/stage", "b/stage"}) write_run(folder / name, kSteps, "finished");
  const Json data = report_of({folder / "a/stage", folder / "b/stage"});
  EXPECT_EQ(data["title"], "a/stage, b/stage");
  EXPECT_EQ(data["runs"][0]["name"], "a/stage");
  EXPECT_EQ(data["runs"][1]["name"], "b/stage");
}

TEST(Report, SeveralFoldersAreToldApartByTheirNames) {
  const TemporaryFolder folder;
  for (const char* name : {"a/stage1", "a/stage2", "b"}) write_run(folder / name, kSteps, "finished");
  const Json data = report_of({folder / "a/", folder / "b"});
  EXPECT_EQ(data["title"], "a, b");
  std::vector<std::string> names;
  for (const Json& run : data["runs"]) names.push_back(run["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"a/stage1", "a/stage2", "b"}));
}

// A prediction's image is a name from outside: what it leads to is read only where it is a file below the task's folder.
TEST(Report, ImagesOutsideTheTasksFolderAndPipesAreMissing) {
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data");
  write(folder / "secret.png", encode_png(noise(10, 10, 3)));
  fs::create_symlink(folder / "secret.png", folder / "data/link.png");
  ASSERT_EQ(::mkfifo((folder / "data/pipe.png").c_str(), 0600), 0);
  const std::vector<std::string> names{"../secret.png",        (folder / "secret.png").string(), "link.png", "pipe.png", "/dev/zero",
                                       std::string(5000, 'x'), (folder / "data/a.png").string(), "./a.png"};
  std::string lines;
  for (const std::string& name : names) lines += Json{{"id", name}, {"image", name}, {"score", 1}}.dump() + "\n";
  write(folder / "evaluation/predictions-test.jsonl", lines);
  const auto images = [&] {
    std::vector<int> places;
    const Json data = report_of({folder / "evaluation"});
    for (const Json& sample : data["evaluations"][0]["samples"]) places.push_back(sample["image"]);
    return places;
  };
  EXPECT_EQ(images(), (std::vector<int>{-1, -1, -1, -1, -1, -1, 0, 0}));
  // `--data-root` lets them lie anywhere below it.
  Json results = read_json(folder / "evaluation/results.json");
  results["test"]["data_root"] = folder.path().string();
  write(folder / "evaluation/results.json", results.dump());
  EXPECT_EQ(images(), (std::vector<int>{0, 0, 0, -1, -1, -1, 1, 1}));
  // A root that the task's file does not lie in, which `evaluate` passes over, takes nothing away.
  results["test"]["data_root"] = (folder / "elsewhere").string();
  write(folder / "evaluation/results.json", results.dump());
  EXPECT_EQ(images(), (std::vector<int>{-1, -1, -1, -1, -1, -1, 0, 0}));
}

// "line 2": `evaluate` found the picture inside the table.
TEST(Report, PicturesInsideATableAreNotMissing) {
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data");
  Json results = read_json(folder / "evaluation/results.json");
  results["test"]["data"] = (folder / "data/test.tsv").string();
  write(folder / "evaluation/results.json", results.dump());
  write(folder / "evaluation/predictions-test.jsonl", R"({"id": "1", "image": "line 2", "swapped_image": "line 3"})"
                                                      "\n"
                                                      R"({"id": "2", "image": "a.png", "swapped_image": "missing.png"})"
                                                      "\n");
  write(folder / "evaluation/attention-test.json", R"({"samples": [{"id": "1", "image": "line 2", "grid": [1, 1], "weights": [1]}]})");
  const Json data = report_of({folder / "evaluation"});
  const Json& task = data["evaluations"][0];
  for (const char* key : {"image", "swapped_image"}) EXPECT_FALSE(task["samples"][0].contains(key)) << key;
  EXPECT_EQ(task["samples"][1]["image"], 0);
  EXPECT_EQ(task["samples"][1]["swapped_image"], -1);
  EXPECT_FALSE(task["attention"][0].contains("image"));
}

TEST(Report, PipesInTheFoldersAreNotWaitedFor) {
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data");
  write_run(folder / "run", kSteps, "finished");
  write(folder / "demo.json", "{}");
  fs::create_directory(folder / "recipes");
  for (const char* name : {"evaluation/attention-test.json", "evaluation/predictions-test.jsonl", "run/recipe.yaml"})
    fs::remove(folder / name);
  for (const char* name : {"evaluation/attention-test.json", "evaluation/predictions-test.jsonl", "run/recipe.yaml", "recipes/x.yaml"})
    ASSERT_EQ(::mkfifo((folder / name).c_str(), 0600), 0) << name;
  const Json data = report_of({folder.path()});
  EXPECT_EQ(data["evaluations"][0]["num_samples"], 0);
  EXPECT_EQ(data["runs"][0]["recipe"], "");
  EXPECT_TRUE(data["demos"][0]["recipes"].empty());
}

TEST(Report, NumbersBeyondEveryRunAreNoSteps) {
  const TemporaryFolder folder;
  write_run(folder / "run", kSteps + R"({"step":1e300,"loss":1})" + "\n" + R"({"step":1e999,"loss":1})" + "\n", "finished");
  EXPECT_EQ(report_of({folder / "run"})["runs"][0]["totals"]["last_step"], 2);
  write(folder / "demo.json", R"({"seed": 1e300})");
  EXPECT_USER_ERROR(write_report(std::vector<fs::path>{folder.path()}), "the demo's record cannot be read", "demo.json", "seed");
  write(folder / "demo.json", R"({"phases": {"a": {}}})");
  EXPECT_USER_ERROR(write_report(std::vector<fs::path>{folder.path()}), "the demo's record cannot be read", "demo.json", "phases");
}

// The page's script takes texts for texts.
TEST(Report, ThingsWhereTextsShouldBeBecomeTexts) {
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data");
  write(folder / "evaluation/predictions-test.jsonl",
        R"({"question": {"toString": 1}, "answer": ["a", 2], "reference": [[1]], "score": 1})");
  const Json sample = report_of({folder / "evaluation"})["evaluations"][0]["samples"][0];
  EXPECT_EQ(sample["question"], R"({"toString":1})");
  EXPECT_EQ(sample["answer"], Json({"a", 2}));
  EXPECT_EQ(sample["reference"], "[[1]]");
}

// An answer is whatever a model says: it may neither end the block it stands in nor come out changed.
TEST(Report, HostileTextArrivesAsText) {
  const std::string hostile = "</script><script>alert(1)</script><!-- \"quoted\" 'single' \\ \u2028\u2029 @@page.js@@ <b>&amp;\t\x01";
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data", hostile);
  const std::string page = read_file(write_report(std::vector<fs::path>{folder / "evaluation"}).file);
  EXPECT_EQ(block_of(page, "report-data")["evaluations"][0]["samples"][0]["answer"], hostile);
  EXPECT_EQ(page.find("alert(1)</script>"), std::string::npos);
  EXPECT_EQ(page.find("\u2028"), std::string::npos);
  size_t scripts = 0;
  for (size_t at = page.find("</script"); at != std::string::npos; at = page.find("</script", at + 1)) ++scripts;
  EXPECT_EQ(scripts, 6U);  // the page's own: theme, data, images, uPlot, what all pages share, page
}

TEST(Report, BrokenUtf8InAFileDoesNotBreakThePage) {
  const TemporaryFolder folder;
  write_run(folder / "run", kSteps, "finished");
  write(folder / "run/recipe.yaml", "base_llm: \xff\xfe\n");
  EXPECT_EQ(report_of({folder / "run"})["runs"][0]["recipe"], "base_llm: \ufffd\ufffd\n");
}

TEST(Report, IsOneFileThatLoadsNothing) {
  const TemporaryFolder folder;
  write_run(folder / "run", kSteps, "finished");
  const std::string page = read_file(write_report(std::vector<fs::path>{folder / "run"}).file);
  EXPECT_TRUE(page.starts_with("<!doctype html>"));
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  for (const char* loader : {"<link", "@import", "url(", " src=\"http", "@@"}) EXPECT_EQ(page.find(loader), std::string::npos) << loader;
  EXPECT_NE(page.find("Copyright (c) 2021, Leon Sorokin"), std::string::npos);  // uPlot's licence asks for it
}

TEST(Report, PathsOfTheUsersHomeAreShortened) {
  const TemporaryFolder folder;
  write_run(folder / "run", kSteps, "finished");
  write(folder / "run/recipe.yaml", "base_llm: " + (fs::current_path() / "models/llm").string() + "\n");
  EXPECT_EQ(report_of({folder / "run"})["runs"][0]["recipe"], "base_llm: models/llm\n");
}

TEST(Report, AModelBelowThePagesFolderCountsFromThere) {
  const TemporaryFolder folder;
  write_evaluation(folder / "evaluation", folder / "data");
  Json results = read_json(folder / "evaluation/results.json");
  results["test"]["model"] = (folder / "runs/end2end/checkpoint-3").string();
  write(folder / "evaluation/results.json", results.dump());
  EXPECT_EQ(report_of({folder.path()})["evaluations"][0]["model"], "runs/end2end/checkpoint-3");
}

TEST(Report, AFolderWithoutARunIsTheUsersMistake) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "empty");
  write(folder / "file", "x");
  const auto report = [](const fs::path& path) { write_report(std::vector<fs::path>{path}); };
  EXPECT_USER_ERROR(report(folder / "empty"), "this folder holds no run", "empty", "no metrics.jsonl, results.json or demo.json",
                    "output_dir");
  EXPECT_USER_ERROR(report(folder / "nowhere"), "a run's folder is missing", "nowhere", "no such folder", "output_dir");
  EXPECT_USER_ERROR(report(folder / "file"), "a run's folder is missing", "a file");
  EXPECT_FALSE(fs::exists(folder / "empty/report.html"));
}

TEST(Report, FilesThatAreNotWhatTheyShouldBeAreNamed) {
  const TemporaryFolder folder;
  const auto report = [&] { write_report(std::vector<fs::path>{folder / "evaluation"}); };
  write(folder / "evaluation/results.json", "{\"test\": ");
  EXPECT_USER_ERROR(report(), "results.json");
  write(folder / "evaluation/results.json", "[]");
  EXPECT_USER_ERROR(report(), "an evaluation without tasks", "results.json", "multimeditron evaluate");
  write(folder / "evaluation/results.json", R"({"test": {"data": "d.jsonl"}})");
  EXPECT_USER_ERROR(report(), "a task without scores", "results.json, task `test`");
  write_evaluation(folder / "evaluation", folder / "data");
  write(folder / "evaluation/attention-test.json", R"({"samples": [{"id": "1", "grid": [2, 2], "weights": [1]}]})");
  EXPECT_USER_ERROR(report(), "an attention map that cannot be drawn", "attention-test.json, sample `1`", "1 weights", "[2,2]");
  const std::pair<const char*, const char*> maps[] = {{R"("grid": [4294967296, 4294967296], "weights": [])", "`grid`"},
                                                      {R"("grid": [1e300, 1], "weights": [1])", "`grid`"},
                                                      {R"("grid": [-1, -1], "weights": [1])", "`grid`"},
                                                      {R"("grid": {"a": 1, "b": 1}, "weights": [1])", "`grid`"},
                                                      {R"("grid": [1, 1], "weights": [1e300])", "weights"},
                                                      {R"("grid": [1, 1], "weights": [null])", "weights"},
                                                      {R"("grid": [1, 1], "weights": [-0.5])", "weights"},
                                                      {R"("grid": [1, 1], "weights": [1], "region": [0, 0, 1])", "`region`"},
                                                      {R"("grid": [1, 1], "weights": [1], "region": [0, 0, 1e300, 1])", "`region`"},
                                                      {R"("grid": [1, 1], "weights": [1], "region": [0.5, 0, 0.5, 1])", "`region`"},
                                                      {R"("grid": [1, 1], "weights": [1], "region": "all")", "`region`"}};
  for (const auto& [map, found] : maps) {
    write(folder / "evaluation/attention-test.json", fmt::format(R"({{"samples": [{{"id": "7", {}}}]}})", map));
    EXPECT_USER_ERROR(report(), "an attention map that cannot be drawn", "attention-test.json, sample `7`", found,
                      "multimeditron evaluate");
  }
  write(folder / "evaluation/attention-test.json", R"({"samples": [{"id": "1"}]})");
  EXPECT_USER_ERROR(report(), "an evaluation's files cannot be read", "evaluation");
  write_run(folder / "run", kSteps, "finished");
  write(folder / "demo.json", R"({"seed": "x"})");
  EXPECT_USER_ERROR(write_report(std::vector<fs::path>{folder.path()}), "the demo's record cannot be read", "demo.json");
}

}  // namespace
}  // namespace multimeditron
