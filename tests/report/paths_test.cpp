#include "report/paths.h"

#include <gtest/gtest.h>

namespace multimeditron {
namespace {

const std::string kHome = "/users/ana", kHere = kHome + "/project";

TEST(PathShortener, MakesPathsRelativeToTheWorkingDirectoryOrTheHome) {
  const PathShortener shorten(kHere, kHome);
  EXPECT_EQ(shorten("--config " + kHere + "/runs/a.yaml"), "--config runs/a.yaml");
  EXPECT_EQ(shorten("data: " + kHome + "/data\nmodel: '" + kHome + "/m'"), "data: ~/data\nmodel: '~/m'");
  EXPECT_EQ(shorten(kHere), ".");
  EXPECT_EQ(shorten(kHome + "/"), "~/");
  EXPECT_EQ(shorten("x=" + kHere + "/a:" + kHere + "/b"), "x=a:b");
}

TEST(PathShortener, LeavesOtherPathsAlone) {
  const PathShortener shorten(kHere, kHome);
  for (const std::string& text :
       std::vector<std::string>{"/data/images", "/media" + kHome + "/x", kHome + "bella/x", "runs" + kHome, "no path", ""})
    EXPECT_EQ(shorten(text), text);
}

TEST(PathShortener, TakesARootOrAnEmptyFolderForNone) {
  EXPECT_EQ(PathShortener("/", "")("/data/x"), "/data/x");
}

TEST(PathShortener, GoesThroughEveryStringOfAJson) {
  Json json{{"a", {kHere + "/x", 1, {{"b", kHome + "/y"}}}}, {kHome, true}};
  PathShortener(kHere, kHome).apply(json);
  EXPECT_EQ(json, Json({{"a", {"x", 1, {{"b", "~/y"}}}}, {kHome, true}}));
}

}  // namespace
}  // namespace multimeditron
