#include "evaluation/scoring.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace multimeditron {
namespace {

TEST(ExactMatch, NormalisesAsPythonDoes) {
  for (const Json& golden : read_json(TEST_DATA "/evaluation/normalised.json"))
    EXPECT_EQ(normalised_answer(golden["text"].get<std::string>()), golden["normalised"].get<std::string>()) << golden["text"];
}

TEST(ExactMatch, IgnoresCaseOuterWhiteSpaceAndOneFullStop) {
  EXPECT_EQ(exact_match(" The left lung.\n", "the left lung"), 1);
  EXPECT_EQ(exact_match("Yes", "yes."), 1);
  EXPECT_EQ(exact_match("yes, it is", "yes"), 0);
  EXPECT_EQ(exact_match("yes..", "yes"), 0);
  EXPECT_EQ(exact_match("left  lung", "left lung"), 0);
  EXPECT_EQ(exact_match("the lung", "lung"), 0);
}

TEST(ExactMatch, AnEmptyAnswerIsNeverRight) {
  EXPECT_EQ(exact_match("", ""), 0);
  EXPECT_EQ(exact_match(" . ", "."), 0);
}

TEST(ExactMatch, BytesThatAreNoTextAreComparedAsTheyAre) {
  EXPECT_EQ(exact_match("\xff\xc3 A", "\xff\xc3 a"), 1);
  EXPECT_EQ(exact_match("a\xe2\x80", "a"), 0);
  EXPECT_EQ(stripped("\x80 x \xc2"), "\x80 x \xc2");
}

TEST(ExactMatch, YesAndNoAreToldFromOpenQuestions) {
  EXPECT_TRUE(is_yes_no(" Yes."));
  EXPECT_TRUE(is_yes_no("NO"));
  EXPECT_FALSE(is_yes_no("none"));
  EXPECT_FALSE(is_yes_no("yes or no"));
}

}  // namespace
}  // namespace multimeditron
