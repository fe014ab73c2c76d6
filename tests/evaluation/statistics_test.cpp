#include "evaluation/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"

namespace multimeditron {
namespace {

struct Rows {
  std::vector<Measures> scores;
  std::vector<std::string> clusters;
};

Rows rows_of(const Json& golden) {
  Rows rows;
  for (const Json& cluster : golden["clusters"]) rows.clusters.push_back(cluster.dump());
  for (const Json& row : golden["rows"]) {
    Measures scores{};
    for (size_t m = 0; m < row.size(); ++m) scores[m] = row[m];
    rows.scores.push_back(scores);
  }
  return rows;
}

TEST(Bootstrap, EqualsNumPyOnTheSameDraws) {
  for (const Json& golden : read_json(TEST_DATA "/evaluation/bootstrap.json")) {
    const Rows rows = rows_of(golden);
    const auto estimates = estimate(rows.scores, rows.clusters, golden["seed"]);
    for (size_t m = 0; m < golden["percent"].size(); ++m) {
      EXPECT_EQ(estimates[m].n, static_cast<int64_t>(rows.scores.size()));
      EXPECT_NEAR(estimates[m].percent, golden["percent"][m].get<double>(), 1e-9);
      EXPECT_NEAR(estimates[m].stderr_percent.value(), golden["stderr"][m].get<double>(), 1e-9);
      for (size_t side = 0; side < 2; ++side)
        EXPECT_NEAR(estimates[m].ci95.value()[side], golden["same_draws"][m][side].get<double>(), 1e-9);
    }
  }
}

// 10,000 resamples place a 2.5th percentile to about 0.02 standard errors of the mean; one point is one of the 100 to 150 rows.
TEST(Bootstrap, AgreesWithManyMoreOfAnotherGenerator) {
  for (const Json& golden : read_json(TEST_DATA "/evaluation/bootstrap.json")) {
    const Rows rows = rows_of(golden);
    const auto estimates = estimate(rows.scores, rows.clusters, 1234);
    for (size_t m = 0; m < golden["percent"].size(); ++m)
      for (size_t side = 0; side < 2; ++side)
        EXPECT_NEAR(estimates[m].ci95.value()[side], golden["independent"][m][side].get<double>(), 1.0);
  }
}

TEST(Bootstrap, RowsOfOneImageCountAsOneDraw) {
  // Ten images of ten equal answers each say no more than ten rows.
  Rows clustered, single;
  for (int image = 0; image < 10; ++image) {
    Measures scores{};
    scores[0] = image < 6 ? 1 : 0;
    single.scores.push_back(scores);
    single.clusters.push_back(std::to_string(image));
    for (int row = 0; row < 10; ++row) {
      clustered.scores.push_back(scores);
      clustered.clusters.push_back(std::to_string(image));
    }
  }
  EXPECT_EQ(estimate(clustered.scores, clustered.clusters, 3)[0].ci95, estimate(single.scores, single.clusters, 3)[0].ci95);
}

TEST(Bootstrap, SaysNothingWhereThereIsNothingToSay) {
  EXPECT_EQ(estimate({}, {}, 0)[0].n, 0);
  EXPECT_FALSE(estimate({}, {}, 0)[0].ci95);
  const std::vector<Measures> one(1, Measures{1});
  const std::vector<std::string> image{"a"};
  EXPECT_EQ(estimate(one, image, 0)[0].percent, 100);
  EXPECT_FALSE(estimate(one, image, 0)[0].stderr_percent);
  const std::vector<Measures> three(3, Measures{1});
  const std::vector<std::string> same{"a", "a", "a"};
  EXPECT_EQ(estimate(three, same, 0)[0].stderr_percent, 0);
  EXPECT_FALSE(estimate(three, same, 0)[0].ci95) << "one image has no spread";
}

}  // namespace
}  // namespace multimeditron
