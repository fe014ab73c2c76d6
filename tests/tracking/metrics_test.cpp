#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

StepRecord step_record(int64_t step) {
  StepRecord record;
  record.step = step;
  record.epoch = 0.5;
  record.loss = 1.25;
  record.grad_norm = 2;
  record.learning_rate = 1e-4;
  record.tokens = 100;
  record.samples = 4;
  record.seconds = 0.125;
  record.data_wait_s = 0.0625;
  return record;
}

std::string line(int64_t step) {
  return to_json(step_record(step)).dump() + "\n";
}

class Metrics : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "metrics.jsonl";
};

TEST_F(Metrics, ALineAStepWithTheFieldsThatOthersRead) {
  MetricsFile metrics(file_, 0);
  metrics.step(step_record(1));
  EXPECT_EQ(read_file(file_),
            "{\"step\":1,\"epoch\":0.5,\"loss\":1.25,\"grad_norm\":2.0,\"learning_rate\":0.0001,\"tokens\":100,\"samples\":4,\"seconds\":0."
            "125,\"data_wait_s\":0.0625}\n");
  EXPECT_NO_THROW(metrics.sync());
}

TEST_F(Metrics, MicroBatchesAreThereWhereAskedFor) {
  StepRecord record = step_record(1);
  record.micro_losses = {1, 1.5};
  record.micro_samples = {{3, 4}, {5}};
  EXPECT_EQ(to_json(record)["micro_losses"].dump(), "[1.0,1.5]");
  EXPECT_EQ(to_json(record)["micro_samples"].dump(), "[[3,4],[5]]");
}

TEST_F(Metrics, LossesKeepAllTheirDigitsAndNanIsNull) {
  MetricsFile metrics(file_, 0);
  StepRecord record = step_record(1);
  record.loss = 0.1 + 0.2;
  record.grad_norm = std::numeric_limits<double>::quiet_NaN();
  metrics.step(record);
  const Json json = Json::parse(read_file(file_));
  EXPECT_EQ(json["loss"].get<double>(), 0.1 + 0.2);
  EXPECT_TRUE(json["grad_norm"].is_null());
}

TEST_F(Metrics, EventsCarryTheirNameAndNoLoss) {
  MetricsFile metrics(file_, 0);
  metrics.event("checkpoint", {{"step", 10}, {"path", "checkpoint-10"}});
  EXPECT_EQ(read_file(file_), "{\"event\":\"checkpoint\",\"step\":10,\"path\":\"checkpoint-10\"}\n");
}

TEST_F(Metrics, ResumingCutsLaterStepsSoThatEachStandsOnce) {
  {
    MetricsFile metrics(file_, 0);
    for (int64_t step = 1; step <= 5; ++step) metrics.step(step_record(step));
  }
  {
    MetricsFile metrics(file_, 3);
    metrics.step(step_record(4));
  }
  EXPECT_EQ(read_file(file_), line(1) + line(2) + line(3) + line(4));
}

TEST_F(Metrics, EventsOfTheCheckpointsStepStayAndLaterOnesGo) {
  {
    MetricsFile metrics(file_, 0);
    metrics.event("start", {});
    metrics.step(step_record(1));
    metrics.event("checkpoint", {{"step", 1}});
    metrics.step(step_record(2));
    metrics.event("checkpoint", {{"step", 2}});
  }
  MetricsFile metrics(file_, 1);
  EXPECT_EQ(read_file(file_), "{\"event\":\"start\"}\n" + line(1) + "{\"event\":\"checkpoint\",\"step\":1}\n");
}

TEST_F(Metrics, ATornLineIsCutWhereverAKillLeftIt) {
  for (size_t torn = 1; torn < line(3).size(); ++torn) {
    std::ofstream(file_, std::ios::trunc) << line(1) << line(2) << line(3).substr(0, torn);
    MetricsFile metrics(file_, 5);
    metrics.step(step_record(3));
    EXPECT_EQ(read_file(file_), line(1) + line(2) + line(3)) << torn;
  }
}

TEST_F(Metrics, BrokenLinesInTheMiddleAreLeftOut) {
  std::ofstream(file_) << line(1) << "{\"step\":2,\"lo\n" << line(2) << line(3);
  MetricsFile metrics(file_, 2);
  EXPECT_EQ(read_file(file_), line(1) + line(2));
}

TEST_F(Metrics, StartingAnewEmptiesTheFile) {
  std::ofstream(file_) << line(1) << line(2);
  MetricsFile metrics(file_, 0);
  EXPECT_EQ(read_file(file_), "");
}

TEST_F(Metrics, AFileThatCannotGrowIsAnErrorThatNamesIt) {
  MetricsFile metrics(file_, 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &none);
  EXPECT_USER_ERROR(metrics.step(step_record(1)), "metrics.jsonl", "cannot write");
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
}

}  // namespace
}  // namespace multimeditron
