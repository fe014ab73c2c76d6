#include "evaluation/summary.h"

#include <gtest/gtest.h>

#include "evaluation/batches.h"
#include "evaluation/table.h"

namespace multimeditron {
namespace {

TaskRow row(const std::string& image, const std::string& kind, const std::string& reference) {
  TaskRow result;
  result.id = image + kind;
  result.question = kind + "?";
  result.kind = kind;
  result.groups = {{"kind", kind}};
  result.reference = reference;
  if (!image.empty()) result.images.push_back({image + ".png", image + ".png", image});
  return result;
}

/// Two questions on each of three images, and one without.
Task small_task() {
  Task task{.name = "t", .file = "t.jsonl", .rows = {}, .unusable = {}};
  task.rows = {row("1", "finding", "yes"), row("1", "side", "left"),  row("2", "finding", "No."), row("2", "side", "Left"),
               row("3", "finding", "no"),  row("3", "side", "right"), row("", "fact", "two")};
  return task;
}

std::vector<RowAnswers> small_answers() {
  //        answer, blind, swapped, whose images
  return {{"Yes", "no", "no", 2},    {"left.", "left", "right", 5}, {"no", "no", "yes", 0}, {"right", "left", "left", 1},
          {"maybe", "no", "yes", 0}, {"right", "left", "left", 1},  {"two", "two", {}, {}}};
}

TEST(Majority, IsTheCommonestReferenceOfTheKindOnTheTestItself) {
  EXPECT_EQ(majority_answers(small_task().rows), (std::vector<std::string>{"No.", "left", "No.", "left", "No.", "left", "two"}));
  Task tie = small_task();
  tie.rows.resize(2);
  tie.rows[1] = row("2", "finding", "no");
  EXPECT_EQ(majority_answers(tie.rows)[0], "yes") << "the first of equally common ones";
}

// Worked out by hand: model right on rows 1, 2, 3, 6, 7; majority on 2, 3, 4, 5, 7; blind on 2, 3, 4, 5, 7; swapped on 4 and 7.
TEST(Summary, CountsEveryContenderInEveryGroup) {
  const Json json = to_json(summarise(small_task(), small_answers(), 0));
  const Json &scores = json["exact_match"], &baselines = json["baselines"];
  EXPECT_EQ(scores["overall"]["n"], 7);
  EXPECT_EQ(scores["overall"]["accuracy"], 71.4286);
  EXPECT_EQ(scores["overall"]["stderr"], 18.4428);  // 100 sqrt(5/7 * 2/7 * 7/6 / 7)
  EXPECT_EQ(scores["overall"]["ci95"].size(), 2U);
  EXPECT_EQ(scores["yes_no"]["n"], 3);
  EXPECT_EQ(scores["yes_no"]["accuracy"], 66.6667);
  EXPECT_EQ(scores["open"]["n"], 4);
  EXPECT_EQ(scores["open"]["accuracy"], 75.0);
  EXPECT_EQ(scores["groups"]["kind"]["side"]["accuracy"], 66.6667);
  EXPECT_EQ(scores["groups"]["kind"]["fact"]["accuracy"], 100.0);
  EXPECT_TRUE(scores["groups"]["kind"]["fact"]["ci95"].is_null());
  EXPECT_EQ(baselines["majority"]["overall"]["accuracy"], 71.4286);
  EXPECT_EQ(baselines["majority"]["groups"]["kind"]["side"]["answer"], "left");
  EXPECT_FALSE(baselines["majority"]["overall"].contains("answer"));
  EXPECT_EQ(baselines["blind"]["overall"]["accuracy"], 71.4286);
  EXPECT_EQ(baselines["swapped"]["overall"]["accuracy"], 28.5714);
  EXPECT_EQ(baselines["differences"]["model-swapped"]["overall"]["difference"], 42.8571);
  EXPECT_EQ(baselines["differences"]["model-blind"]["groups"]["kind"]["finding"]["difference"], 0.0);
  EXPECT_EQ(baselines["differences"]["model-majority"]["yes_no"]["difference"], 0.0);
}

TEST(Summary, WithoutBaselinesOnlyTheMajorityStandsBesideTheModel) {
  std::vector<RowAnswers> answers;
  for (const RowAnswers& each : small_answers()) answers.push_back({.answer = each.answer});
  const Json baselines = to_json(summarise(small_task(), answers, 0))["baselines"];
  EXPECT_EQ(baselines.size(), 2U);
  EXPECT_EQ(baselines["differences"].size(), 1U);
  EXPECT_TRUE(baselines["differences"].contains("model-majority"));
}

TEST(Summary, ARowThatMetNoOtherImageDoesNotCountAsSwapped) {
  std::vector<RowAnswers> answers = small_answers();
  answers[3].swapped.reset();  // right when swapped, so that leaving it out shows
  answers[3].swapped_images.reset();
  const TaskSummary summary = summarise(small_task(), answers, 0);
  EXPECT_EQ(summary.overall.model.n, 7);
  EXPECT_EQ(summary.overall.swapped.n, 6);
  EXPECT_NEAR(summary.overall.swapped.percent, 100.0 / 6, 1e-9) << "only the row without an image is right";
  EXPECT_EQ(summary.overall.lead_over_swapped.n, 6);
  EXPECT_NEAR(summary.overall.lead_over_swapped.percent, 400.0 / 6, 1e-9) << "rows 1, 2, 3 and 6";
}

TEST(Summary, RowsThatShareAnImageAreOneClusterThroughOthersToo) {
  std::vector<TaskRow> rows = {row("a", "k", "1"), row("b", "k", "1"), row("c", "k", "1"),
                               row("", "k", "1"),  row("d", "k", "1"), row("", "k", "1")};
  rows[2].images.push_back(rows[1].images[0]);                       // c and b
  rows[4].images.insert(rows[4].images.begin(), rows[2].images[0]);  // d with c, and so with b
  const std::vector<std::string> labels = clusters_of(rows);
  EXPECT_EQ(labels[1], labels[2]);
  EXPECT_EQ(labels[1], labels[4]);
  for (const size_t other : {1U, 3U, 5U}) EXPECT_NE(labels[0], labels[other]);
  EXPECT_NE(labels[3], labels[5]) << "rows without images have nothing in common";
}

TEST(Predictions, ALineARowWithWhatEveryContenderSaid) {
  const std::string lines = predictions_jsonl(small_task(), small_answers());
  std::vector<Json> rows;
  for (size_t begin = 0; begin < lines.size(); begin = lines.find('\n', begin) + 1)
    rows.push_back(Json::parse(lines.substr(begin, lines.find('\n', begin) - begin)));
  ASSERT_EQ(rows.size(), 7U);
  EXPECT_EQ(rows[0],
            Json::parse(R"({"id": "1finding", "task": "t", "image": "1.png", "question": "finding?", "kind": "finding", "reference": "yes",
                            "answer": "Yes", "score": 1.0, "blind_answer": "no", "blind_score": 0.0, "swapped_answer": "no",
                            "swapped_image": "2.png", "swapped_score": 0.0})"));
  EXPECT_TRUE(rows[6]["image"].is_null());
  EXPECT_FALSE(rows[6].contains("swapped_answer"));
}

TEST(ScoreTable, HasALineAKindAndOneForAll) {
  Task task = small_task();
  task.unusable.push_back({"x", 9, "y.png", "missing"});
  const TaskSummary summary = summarise(task, small_answers(), 0);
  const std::string text = score_table(task, summary, false);
  EXPECT_NE(text.find("t: 7 questions on 3 images, 1 row left out\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  kind           n  accuracy  95 % interval   majority    blind  swapped\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  side           3      66.7  ["), std::string::npos) << text;
  EXPECT_NE(text.find("  fact           1     100.0                     100.0    100.0    100.0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("  all            7      71.4  ["), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Batches, StayWithinTheirBytesAndKeepAnImageTogether) {
  // 10 bytes a prompt token, nothing else: 100 tokens a batch.
  const BatchLimits limits{.max_prompts = 8, .max_bytes = 1000, .bytes_per_prompt_token = 10};
  const auto plan = [&](const std::vector<PromptSize>& prompts) { return plan_batches(prompts, limits); };
  using Batches = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(plan({}), Batches{});
  EXPECT_EQ(plan({{40, 1, "a"}, {40, 1, "b"}, {40, 1, "b"}, {10, 0, ""}}), (Batches{{0, 1}, {1, 4}}));
  EXPECT_EQ(plan({{40, 1, "a"}, {40, 1, "a"}, {40, 1, "a"}, {60, 1, "b"}}), (Batches{{0, 2}, {2, 4}})) << "too many on one image";
  EXPECT_EQ(plan({{500, 1, "a"}, {500, 1, "b"}}), (Batches{{0, 1}, {1, 2}})) << "what fits nowhere is alone";
  EXPECT_EQ(plan(std::vector<PromptSize>(20, {1, 0, ""})), (Batches{{0, 8}, {8, 16}, {16, 20}}));
}

TEST(Batches, CountTheCacheAsLongAsTheLongestAndAnImageOnce) {
  const BatchLimits cache{.max_bytes = 100, .new_tokens = 10, .bytes_per_cached_token = 1};
  EXPECT_EQ(plan_batches(std::vector<PromptSize>{{10, 0, ""}, {10, 0, ""}, {40, 0, ""}, {40, 0, ""}}, cache),
            (std::vector<std::pair<size_t, size_t>>{{0, 2}, {2, 4}}));
  const BatchLimits pixels{.max_bytes = 100, .bytes_per_image = 50};
  EXPECT_EQ(plan_batches(std::vector<PromptSize>{{1, 1, "a"}, {1, 1, "a"}, {1, 1, "b"}, {1, 1, "c"}}, pixels),
            (std::vector<std::pair<size_t, size_t>>{{0, 3}, {3, 4}}));
}

}  // namespace
}  // namespace multimeditron
