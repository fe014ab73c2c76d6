#include "generation/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <vector>

namespace multimeditron {
namespace {

std::map<int64_t, double> shares(const std::vector<float>& logits, const SamplingOptions& options, int draws) {
  std::map<int64_t, double> counts;
  for (int i = 0; i < draws; ++i) counts[choose_token(logits, options, 0, static_cast<uint64_t>(i)).id] += 1.0 / draws;
  return counts;
}

TEST(Sampling, GreedyTakesTheLowerIdOfEqualOnesAndTellsTheMargin) {
  const Choice choice = choose_token(std::vector<float>{1, 4, 2.5, 4}, {}, 0, 0);
  EXPECT_EQ(choice.id, 1);
  EXPECT_EQ(choice.margin, 0);
  EXPECT_FLOAT_EQ(choose_token(std::vector<float>{1, 2.5, 4}, {}, 0, 0).margin, 1.5);
}

TEST(Sampling, DrawsFollowTheSoftmaxAtTheTemperature) {
  const std::vector<float> logits{0, 1, 2, -1};
  const double temperature = 0.7;
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit / temperature);
  const int draws = 40000;
  const auto seen = shares(logits, {.temperature = temperature, .seed = 3}, draws);
  for (size_t id = 0; id < logits.size(); ++id) {
    const double share = std::exp(logits[id] / temperature) / sum;
    const double deviation = std::sqrt(share * (1 - share) / draws);
    EXPECT_NEAR(seen.at(static_cast<int64_t>(id)), share, 5 * deviation) << id;
  }
}

TEST(Sampling, TopKDrawsFromTheLikeliestOnly) {
  const auto seen = shares({3, 1, 2, 2, 0}, {.temperature = 2, .top_k = 2}, 2000);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen.contains(0) && seen.contains(2));  // of the equal ones the lower id
}

TEST(Sampling, TopPKeepsTheFewestThatReachTheShare) {
  // Shares 0.5, 0.3, 0.15, 0.05.
  const std::vector<float> logits{std::log(0.3f), std::log(0.5f), std::log(0.05f), std::log(0.15f)};
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 0.4}, 500).size(), 1u);
  const auto two = shares(logits, {.temperature = 1, .top_p = 0.7}, 20000);
  EXPECT_EQ(two.size(), 2u);
  EXPECT_NEAR(two.at(1), 0.5 / 0.8, 0.02);
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 0.9}, 2000).size(), 3u);
  EXPECT_EQ(shares(logits, {.temperature = 1, .top_p = 1}, 2000).size(), 4u);
}

TEST(Sampling, TheSeedTheSequenceAndTheStepDecideADraw) {
  const std::vector<float> logits(1000, 0.0f);
  const SamplingOptions options{.temperature = 1, .seed = 11};
  const int64_t id = choose_token(logits, options, 5, 9).id;
  EXPECT_EQ(choose_token(logits, options, 5, 9).id, id);
  EXPECT_NE(choose_token(logits, options, 6, 9).id, id);
  EXPECT_NE(choose_token(logits, options, 5, 10).id, id);
  EXPECT_NE(choose_token(logits, {.temperature = 1, .seed = 12}, 5, 9).id, id);
}

}  // namespace
}  // namespace multimeditron
