#include "evaluation/swap.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "evaluation/scoring.h"

namespace multimeditron {
namespace {

TaskRow row(const std::string& image, const std::string& reference, const std::string& kind = "side") {
  TaskRow result;
  result.kind = kind;
  result.reference = reference;
  if (!image.empty()) result.images.push_back({image, image, image});
  return result;
}

/// Rows on images that are shared and references that are not balanced, drawn from a seed.
std::vector<TaskRow> random_rows(unsigned seed, int num_rows, int num_images, int num_references) {
  std::mt19937 generator(seed);
  std::vector<TaskRow> rows;
  for (int i = 0; i < num_rows; ++i)
    rows.push_back(row(std::to_string(generator() % static_cast<unsigned>(num_images)),
                       std::to_string(generator() % static_cast<unsigned>(num_references)), generator() % 3 == 0 ? "a" : "b"));
  return rows;
}

TEST(Swap, NeverGivesARowItsOwnImage) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const auto rows = random_rows(seed, 40, 2 + static_cast<int>(seed % 12), 1 + static_cast<int>(seed % 5));
    const auto partners = swap_partners(rows, seed);
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_TRUE(partners[i]);
      EXPECT_NE(rows[*partners[i]].images[0].content, rows[i].images[0].content);
    }
  }
}

TEST(Swap, GivesAnotherAnswersImageWhereHalfTheKindHasAnother) {
  std::vector<TaskRow> rows;
  for (int i = 0; i < 30; ++i) rows.push_back(row(std::to_string(i), i % 3 == 0 ? "Left" : i % 3 == 1 ? "left." : "right"));
  for (int i = 30; i < 60; ++i) rows.push_back(row(std::to_string(i), "right"));
  for (const uint64_t seed : {0, 1, 2}) {
    const auto partners = swap_partners(rows, seed);
    int64_t same = 0;
    std::set<size_t> used;
    for (size_t i = 0; i < rows.size(); ++i) {
      used.insert(*partners[i]);
      same += normalised_answer(rows[i].reference) == normalised_answer(rows[*partners[i]].reference);
    }
    EXPECT_EQ(used.size(), rows.size()) << "each image once";
    EXPECT_EQ(same, 20) << "40 of 60 say right: no order of them keeps fewer than 20 from meeting their like";
  }
}

TEST(Swap, StaysInItsKindUnlessTheKindHasOneImageOnly) {
  std::vector<TaskRow> rows{row("x", "one", "count"), row("x", "two", "count")};
  for (int i = 0; i < 10; ++i) rows.push_back(row(std::to_string(i), std::to_string(i % 2)));
  const auto partners = swap_partners(rows, 4);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[*partners[i]].kind, "side") << i;
}

TEST(Swap, IsOneFunctionOfTheSeed) {
  const auto rows = random_rows(7, 60, 20, 3);
  EXPECT_EQ(swap_partners(rows, 1), swap_partners(rows, 1));
  EXPECT_NE(swap_partners(rows, 1), swap_partners(rows, 2));
}

TEST(Swap, LeavesOutRowsWithoutImagesAndTasksWithOneImage) {
  const std::vector<TaskRow> rows{row("", "a"), row("x", "b"), row("x", "c")};
  for (const auto& partner : swap_partners(rows, 0)) EXPECT_FALSE(partner);
}

}  // namespace
}  // namespace multimeditron
