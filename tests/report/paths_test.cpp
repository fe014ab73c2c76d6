#include "report/paths.h"

#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

const std::string kHome = "/users/ana", kHere = kHome + "/project";

TEST(PathShortener, MakesPathsRelativeToTheWorkingDirectoryOrTheHome) {
  const PathShortener shorten({kHere}, {kHome});
  EXPECT_EQ(shorten("--config " + kHere + "/runs/a.yaml"), "--config runs/a.yaml");
  EXPECT_EQ(shorten("data: " + kHome + "/data\nmodel: '" + kHome + "/m'"), "data: ~/data\nmodel: '~/m'");
  EXPECT_EQ(shorten(kHere), ".");
  EXPECT_EQ(shorten(kHome + "/"), "~/");
  EXPECT_EQ(shorten("x=" + kHere + "/a:" + kHere + "/b"), "x=a:b");
  EXPECT_EQ(shorten("look into " + kHome + "."), "look into ~.");
  EXPECT_EQ(shorten("/" + kHome + "/x"), "/~/x");
}

TEST(PathShortener, KnowsPathsInUrlsOfFilesButNotHosts) {
  const PathShortener shorten({kHere}, {kHome});
  EXPECT_EQ(shorten("file://" + kHome + "/a b"), "file://~/a b");
  EXPECT_EQ(shorten("file://localhost" + kHome + "/a, file:" + kHere + "/b"), "file://localhost~/a, file:b");
  for (const std::string& text : std::vector<std::string>{"https:/" + kHome + "/x", "https://host" + kHome}) EXPECT_EQ(shorten(text), text);
}

// What is written into a recipe may be the link's path or the one behind it.
TEST(PathShortener, FollowsTheLinksOfTheHome) {
  const TemporaryFolder folder;
  const std::filesystem::path real = std::filesystem::canonical(folder.path()) / "real";
  std::filesystem::create_directory(real);
  std::filesystem::create_directory_symlink(real, folder / "home");
  const PathShortener shorten({}, {folder / "home/"});
  EXPECT_EQ(shorten((folder / "home/x").string() + " " + (real / "x").string()), "~/x ~/x");
}

TEST(PathShortener, KnowsTheAccountsHomeWithoutTheVariable) {
  const char* home = std::getenv("HOME");
  const std::string before = home == nullptr ? "" : home;
  ::unsetenv("HOME");
  const PathShortener shorten = PathShortener::here({kHome});
  if (home != nullptr) ::setenv("HOME", before.c_str(), 1);
  EXPECT_EQ(shorten(kHome + "/x"), "x");
  const passwd* account = ::getpwuid(::getuid());
  if (account == nullptr || std::string(account->pw_dir).size() < 2) GTEST_SKIP() << "the account has no home";
  EXPECT_EQ(shorten(account->pw_dir + std::string("/no/such")), "~/no/such");
}

TEST(PathShortener, LeavesOtherPathsAlone) {
  const PathShortener shorten({kHere}, {kHome});
  for (const std::string& text :
       std::vector<std::string>{"/data/images", "/media" + kHome + "/x", kHome + "bella/x", "runs" + kHome, "no path", ""})
    EXPECT_EQ(shorten(text), text);
}

TEST(PathShortener, TakesARootOrAnEmptyFolderForNone) {
  EXPECT_EQ(PathShortener({"/"}, {""})("/data/x"), "/data/x");
}

TEST(PathShortener, GoesThroughEveryStringOfAJson) {
  Json json{{"a", {kHere + "/x", 1, {{"b", kHome + "/y"}}}}, {kHome, true}};
  PathShortener({kHere}, {kHome}).apply(json);
  EXPECT_EQ(json, Json({{"a", {"x", 1, {{"b", "~/y"}}}}, {kHome, true}}));
}

}  // namespace
}  // namespace multimeditron
