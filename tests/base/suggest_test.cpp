#include "base/suggest.h"

#include <gtest/gtest.h>

namespace multimeditron {
namespace {

const std::vector<std::string> kKeys = {"learning_rate", "lr_scheduler_type", "save_steps", "seed"};

TEST(Nearest, FindsTypingMistakes) {
  EXPECT_EQ(nearest("learning_rat", kKeys), "learning_rate");
  EXPECT_EQ(nearest("leanring_rate", kKeys), "learning_rate");
  EXPECT_EQ(nearest("save_step", kKeys), "save_steps");
  EXPECT_EQ(nearest("sede", kKeys), "seed");
}

TEST(Nearest, IsSilentWhereNothingIsNear) {
  EXPECT_EQ(nearest("gradient_checkpointing", kKeys), std::nullopt);
  EXPECT_EQ(nearest("seed", {}), std::nullopt);
}

TEST(JoinOr, ReadsAsAList) {
  EXPECT_EQ(join_or({}), "");
  EXPECT_EQ(join_or(std::vector<std::string>{"a"}), "a");
  EXPECT_EQ(join_or(std::vector<std::string>{"a", "b"}), "a or b");
  EXPECT_EQ(join_or(std::vector<std::string>{"a", "b", "c"}), "a, b or c");
}

}  // namespace
}  // namespace multimeditron
