#include "base/hub.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFirst = "1111111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
constexpr const char* kSecond = "2222222bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A hub cache as huggingface_hub lays it out, and an environment that knows no other.
class Hub : public testing::Test {
 protected:
  Hub() {
    for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) ::unsetenv(name);
    ::setenv("HOME", (folder_ / "home").c_str(), 1);
    ::setenv("HF_HUB_CACHE", cache().c_str(), 1);
    add("models--org--name", "main", kFirst);
    add("models--org--name", "v2", kSecond);
    add("datasets--org--name", "main", kSecond);
    add("models--gpt2", "main", kFirst);
  }

  fs::path cache() const { return folder_ / "cache"; }

  void add(const std::string& repository, const std::string& ref, const std::string& commit) {
    fs::create_directories(cache() / repository / "refs");
    fs::create_directories(cache() / repository / "snapshots" / commit);
    write_file_atomic(cache() / repository / "refs" / ref, commit);
  }

  TemporaryFolder folder_;
};

TEST_F(Hub, TakesTheSnapshotThatMainNames) {
  EXPECT_EQ(find_in_hub("org/name", {}, HubKind::kModel), cache() / "models--org--name/snapshots" / kFirst);
  EXPECT_EQ(find_in_hub("org/name", {}, HubKind::kDataset), cache() / "datasets--org--name/snapshots" / kSecond);
  EXPECT_EQ(find_in_hub("gpt2", {}, HubKind::kModel), cache() / "models--gpt2/snapshots" / kFirst);
  EXPECT_EQ(find_in_hub("gpt2", {}, HubKind::kDataset), std::nullopt);
}

TEST_F(Hub, TakesABranchTagCommitOrItsBeginningAfterTheAtSign) {
  const fs::path second = cache() / "models--org--name/snapshots" / kSecond;
  EXPECT_EQ(find_in_hub("org/name@v2", {}, HubKind::kModel), second);
  EXPECT_EQ(find_in_hub(std::string("org/name@") + kSecond, {}, HubKind::kModel), second);
  EXPECT_EQ(find_in_hub("org/name@2222222", {}, HubKind::kModel), second);
  EXPECT_EQ(find_in_hub("org/name@222", {}, HubKind::kModel), std::nullopt);
  EXPECT_EQ(find_in_hub("org/name@v3", {}, HubKind::kModel), std::nullopt);
  EXPECT_EQ(find_in_hub("org/name@../refs", {}, HubKind::kModel), std::nullopt);
}

TEST_F(Hub, WithoutAUsableMainTheNewestSnapshotCounts) {
  const fs::path snapshots = cache() / "models--org--name/snapshots";
  fs::remove(cache() / "models--org--name/refs/main");
  fs::last_write_time(snapshots / kFirst, fs::file_time_type::clock::now() - std::chrono::hours(2));
  fs::last_write_time(snapshots / kSecond, fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_EQ(find_in_hub("org/name", {}, HubKind::kModel), snapshots / kSecond);
}

TEST_F(Hub, PathsAsGivenComeBeforeNeighboursAndThoseBeforeTheCache) {
  fs::create_directories(folder_ / "recipes/org/name");
  EXPECT_EQ(find_in_hub("org/name", folder_ / "recipes", HubKind::kModel), folder_ / "recipes/org/name");
  EXPECT_EQ(find_in_hub((folder_ / "recipes").string(), folder_.path(), HubKind::kModel), folder_ / "recipes");

  const fs::path before = fs::current_path();
  fs::create_directories(folder_ / "work/org/name");
  fs::current_path(folder_ / "work");
  EXPECT_EQ(find_in_hub("org/name", folder_ / "recipes", HubKind::kModel), fs::path("org/name"));
  fs::current_path(before);
}

TEST_F(Hub, CacheFollowsTheVariablesOfHuggingFace) {
  ::unsetenv("HF_HUB_CACHE");
  EXPECT_EQ(find_in_hub("org/name", {}, HubKind::kModel), std::nullopt);
  fs::create_directories(folder_ / "home/.cache/huggingface");
  fs::rename(cache(), folder_ / "home/.cache/huggingface/hub");
  EXPECT_NE(find_in_hub("org/name", {}, HubKind::kModel), std::nullopt);
  ::setenv("XDG_CACHE_HOME", (folder_ / "xdg").c_str(), 1);
  EXPECT_EQ(find_in_hub("org/name", {}, HubKind::kModel), std::nullopt);
  fs::rename(folder_ / "home/.cache", folder_ / "xdg");
  EXPECT_NE(find_in_hub("org/name", {}, HubKind::kModel), std::nullopt);
  ::setenv("HF_HOME", (folder_ / "hf").c_str(), 1);
  EXPECT_EQ(find_in_hub("org/name", {}, HubKind::kModel), std::nullopt);
  fs::rename(folder_ / "xdg/huggingface", folder_ / "hf");
  EXPECT_NE(find_in_hub("org/name", {}, HubKind::kModel), std::nullopt);
}

TEST_F(Hub, WhatIsNowhereIsAnErrorThatNamesThePlaces) {
  EXPECT_USER_ERROR(resolve_hub_path("acme/thing", folder_ / "recipes", HubKind::kModel, "base_llm"), "cannot find the model acme/thing",
                    "where: base_llm", (folder_ / "recipes/acme/thing").string(), (cache() / "models--acme--thing").string(), "HF_HOME");
  EXPECT_USER_ERROR(resolve_hub_path("/no/such/place", {}, HubKind::kDataset, "datasets.0"), "data set /no/such/place", "datasets.0");
  EXPECT_USER_ERROR(resolve_hub_path("", {}, HubKind::kModel, "base_llm"), "base_llm", "empty");
}

TEST_F(Hub, NearbyNamesAreOffered) {
  EXPECT_USER_ERROR(resolve_hub_path("org/nam", {}, HubKind::kModel, "base_llm"), "did you mean org/name?");
  EXPECT_USER_ERROR(resolve_hub_path((folder_ / "cachee").string(), {}, HubKind::kModel, "base_llm"), "did you mean " + cache().string());
}

TEST_F(Hub, AMissingRevisionListsThoseThatAreThere) {
  EXPECT_USER_ERROR(resolve_hub_path("org/name@v3", {}, HubKind::kModel, "base_llm"), "revision v3", "main or v2");
}

TEST_F(Hub, NamesThatAreNoHubIdsNeverReachTheCache) {
  for (const std::string name : {"../org/name", "a/b/c", "/org", "org/..", "./x", "org/name/", "o rg/name", ""})
    EXPECT_EQ(find_in_hub(name, {}, HubKind::kModel), std::nullopt) << name;
}

}  // namespace
}  // namespace multimeditron
