#include "training/micro_batches.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/folder.h"
#include "run_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kPacked{"pack_sequences=true", "max_length=160", "training_args.per_device_train_batch_size=1",
                                       "training_args.max_steps=0", "training_args.num_train_epochs=2"};

std::vector<std::string> packed(std::vector<std::string> more) {
  more.insert(more.begin(), kPacked.begin(), kPacked.end());
  return more;
}

TEST(MicroBatches, OfAStepGoToTheRanksInTurn) {
  TrainingArguments arguments;
  arguments.num_train_epochs = 2;
  const StepPlan plan([](int64_t) { return 10; }, 4, arguments);  // steps of 4, 4 and 2
  MicroBatchOrder order;
  order.rows = [](int64_t epoch, int64_t index) { return std::vector<int64_t>{epoch, index}; };
  for (const int64_t world_size : {1, 2, 3, 4, 7}) {
    std::vector<int> times(20, 0);
    for (int64_t rank = 0; rank < world_size; ++rank) {
      const BatchPlan batches = plan_batches(order, plan, 1, {rank, world_size});
      EXPECT_EQ(batches.first, 4);
      EXPECT_EQ(batches.end, 20);
      for (int64_t number = batches.first; number < batches.end; ++number) {
        EXPECT_EQ(batches.rows_of(number), (std::vector<int64_t>{number / 10, number % 10}));
        if (!batches.is_mine(number)) continue;
        ++times[static_cast<size_t>(number)];
        EXPECT_EQ(number % 10 % 4 % world_size, rank);
      }
    }
    EXPECT_EQ(std::count(times.begin() + 4, times.end(), 1), 16) << world_size;
  }
}

/// transformers 5: max_steps = math.ceil(num_train_epochs * num_update_steps_per_epoch).
TEST(StepPlans, TakeAsManyStepsOfAFractionOfAnEpochAsTransformers) {
  const struct {
    double epochs;
    int64_t batches, micro_batches_per_step, steps;
  } cases[] = {{2.2, 5, 1, 11}, {2.2, 10, 2, 11}, {0.5, 5, 1, 3}, {1.1, 10, 1, 11}, {3, 5, 2, 9}, {2.25, 5, 1, 12}};
  for (const auto& each : cases) {
    TrainingArguments arguments;
    arguments.num_train_epochs = each.epochs;
    const StepPlan plan([&](int64_t) { return each.batches; }, each.micro_batches_per_step, arguments);
    EXPECT_EQ(plan.total_steps(), each.steps) << each.epochs << " epochs of " << each.batches;
  }
}

/// What the header of a launch says.
Json header_of(const Result& result) {
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_object() && json.value("event", "") == "header") return json.at("rows");
  }
  ADD_FAILURE() << "no header in\n" << result.out << result.err;
  return Json::object();
}

TEST(MicroBatches, ADryRunCountsThePacksAndTheRunTakesThem) {
  const TemporaryFolder folder;
  const fs::path root = fs::path(TEST_DATA) / "case_two";
  const std::vector<std::string> environment{"CASE_ROOT=" + root.string(), "OUT=" + (folder / "out").string(),
                                             "MULTIMEDITRON_CACHE=" + (folder / "cache").string()};
  std::vector<std::string> command{"env", "-C", root.string(), PROGRAM, "train", "--config", "cases/qwen3_clip/end2end.yaml", "--json"};
  command.insert(command.end(), kPacked.begin(), kPacked.end());
  std::vector<std::string> dry = command;
  dry.push_back("--dry-run");
  const Json planned = header_of(run_command(dry, environment));
  EXPECT_NE(planned.value("packs", "").find("of 160 tokens in the first epoch"), std::string::npos) << planned;
  EXPECT_NE(planned.value("lengths", "").find("kept in " + (folder / "cache").string()), std::string::npos) << planned;

  const Result result = run_command(command, environment);
  ASSERT_EQ(result.code, 0) << result.err;
  const Json header = header_of(result);
  EXPECT_EQ(header.value("packs", ""), planned.value("packs", ""));
  EXPECT_NE(header.value("lengths", "").find("from an earlier launch"), std::string::npos) << header;
  const auto steps = step_lines(folder.path() / "out/end2end/metrics.jsonl");
  EXPECT_EQ(std::to_string(steps.size()), planned.value("steps", ""));
  for (const Json& step : steps) {
    EXPECT_GE(step.at("data_wait_s").get<double>(), 0);
    EXPECT_LE(step.at("data_wait_s"), step.at("seconds"));
    EXPECT_LE(step.at("tokens"), 3 * 160);
  }
}

TEST(MicroBatches, SamplesThatCannotBeUsedAreToldBeforeTheRun) {
  const TemporaryFolder folder;
  const fs::path root = fs::path(TEST_DATA) / "case_two";
  const Json planned = header_of(run_command({"env", "-C", root.string(), PROGRAM, "train", "--config", "cases/qwen3_clip/end2end.yaml",
                                              "--json", "--dry-run", "pack_sequences=true", "max_length=40"},
                                             {"CASE_ROOT=" + root.string(), "OUT=" + (folder / "out").string(), "MULTIMEDITRON_CACHE="}));
  const std::string left_out = planned.value("left out", "");
  EXPECT_NE(left_out.find(" longer than a pack, 0 without what a sample needs"), std::string::npos) << planned;
  EXPECT_NE(left_out.find("cases/qwen3_clip/end2end.yaml"), std::string::npos) << planned;
}

TEST(MicroBatches, ASampleBeyondTheModelsPositionsIsToldOnce) {
  const TemporaryFolder folder;
  const fs::path root = fs::path(TEST_DATA) / "case_two", llm = folder.path() / "llm";
  fs::copy(root / "llm/qwen3", llm);
  Json config = read_json(llm / "config.json");
  config["max_position_embeddings"] = 20;
  write_file_atomic(llm / "config.json", config.dump());
  // Neither this nor the checkpoint says how wide the model is: its config does.
  const Result result =
      run_command({"env", "-C", root.string(), PROGRAM, "train", "--config", "cases/qwen3_clip/alignment.yaml", "base_llm=" + llm.string(),
                   "base_model=null", "token_size=0", "modalities.0.hidden_size=0", "training_args.max_steps=2"},
                  {"CASE_ROOT=" + root.string(), "OUT=" + (folder / "out").string()});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string told = "and the language model was made for 20";
  const size_t first = result.err.find(told);
  EXPECT_NE(first, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find(told, first + 1), std::string::npos) << result.err;
}

TEST(MicroBatches, APackedRunGoesOnAsIfItHadNotStopped) {
  const TemporaryFolder folder;
  const auto weights = [&](const char* name) {
    const fs::path run = folder.path() / name / "end2end";
    return content_of(checkpoint_path(run, list_checkpoints(run).back()) / "model.safetensors");
  };
  const auto save = packed({"training_args.save_steps=3", "training_args.save_strategy=steps"});
  ASSERT_EQ(train_case("case_two", "end2end", folder / "whole", save).code, 0);
  auto resumed = save;
  resumed.push_back("resume_from_checkpoint=" + (folder / "whole").string() + "/end2end/checkpoint-3");
  ASSERT_EQ(train_case("case_two", "end2end", folder / "rest", resumed).code, 0);
  EXPECT_EQ(step_lines(folder.path() / "rest/end2end/metrics.jsonl").front().at("step"), 4);
  EXPECT_EQ(weights("rest"), weights("whole"));
}

}  // namespace
}  // namespace multimeditron::testing
