#include "base/file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(File, AtomicWriteReplacesTheContentAndLeavesNothingElse) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "old");
  write_file_atomic(folder / "a", std::string_view("new\0content", 11));
  EXPECT_EQ(read_file(folder / "a"), std::string("new\0content", 11));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, AtomicWriteThatFailsLeavesNoTemporaryFile) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "taken/inside");  // a rename onto a folder is refused
  EXPECT_USER_ERROR(write_file_atomic(folder / "taken", "x"), "cannot replace a file", "taken");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, TheBeginningOfALongFileIsShownBeforeTheRestIsRead) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "0123456789");
  std::string shown;
  const auto look = [&](std::span<const std::byte> first) { shown.assign(reinterpret_cast<const char*>(first.data()), first.size()); };
  EXPECT_EQ(read_regular_file(folder / "a", look, 10), "0123456789");
  EXPECT_EQ(shown, "");
  EXPECT_EQ(read_regular_file(folder / "a", look, 4), "0123456789");
  EXPECT_EQ(shown, "0123");
}

TEST(File, APathBelowAFolderDoesNotLeaveIt) {
  const TemporaryFolder folder;
  const std::filesystem::path base = std::filesystem::canonical(folder.path());
  EXPECT_EQ(path_below(base, "a/../b.png"), base / "a/../b.png");
  EXPECT_EQ(path_below(base, base / "b.png"), base / "b.png");
  std::filesystem::create_symlink("/dev", base / "link");
  for (const char* path : {"../b.png", "/dev/null", "link/null"})
    EXPECT_USER_ERROR(path_below(base, path), "leaves its folder", path, base.string());
  std::filesystem::create_symlink(base / "circle", base / "circle");
  EXPECT_USER_ERROR(path_below(base, "circle/b.png"), "cannot find a file", "circle");
  EXPECT_USER_ERROR(path_below(base, std::string(5000, 'x')), "cannot find a file", "xxx");
}

TEST(File, MissingFilesAndFoldersAreNamed) {
  const TemporaryFolder folder;
  EXPECT_USER_ERROR(read_file(folder / "none"), "none", "No such file", "check the path");
  EXPECT_USER_ERROR(MappedFile(folder / "none"), "none", "No such file");
  EXPECT_USER_ERROR(read_file(folder.path()), "a folder");
  EXPECT_USER_ERROR(MappedFile(folder.path()), "a folder");
  EXPECT_USER_ERROR(FileWriter(folder / "none/a"), "none/a", "cannot create");
}

TEST(File, MapsEmptyFilesAndSurvivesBeingMoved) {
  const TemporaryFolder folder;
  std::ofstream(folder / "empty").flush();
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
  write_file_atomic(folder / "a", "content");
  MappedFile first(folder / "a");
  const MappedFile second(std::move(first));
  EXPECT_EQ(text_of(second), "content");
  EXPECT_TRUE(first.bytes().empty());
}

TEST(FileWriter, KeepsTheOrderOfPiecesSmallerAndLargerThanItsBuffer) {
  const TemporaryFolder folder;
  std::string expected;
  FileWriter writer(folder / "a");
  for (const size_t size : {1u, 1000u, 700'000u, 500'000u, 3'000'000u, 0u, 1u << 20, 7u}) {
    const std::string piece(size, static_cast<char>('a' + expected.size() % 26));
    writer.write(piece);
    expected += piece;
  }
  writer.close();
  EXPECT_TRUE(read_file(folder / "a") == expected);
}

TEST(FileWriter, ReportsAFullDisk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP();
  FileWriter writer("/dev/full");
  EXPECT_USER_ERROR(writer.write(std::string(2 << 20, 'x')), "/dev/full", "No space left", "free some space");
}

TEST(Json, SyntaxErrorsNameLineAndColumn) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.json", "{\n  \"a\": 1,\n  b\n}");
  EXPECT_USER_ERROR(read_json(folder / "a.json"), "not valid JSON", "a.json:3:3");
  write_file_atomic(folder / "a.json", "");
  EXPECT_USER_ERROR(read_json(folder / "a.json"), "an empty file");
  write_file_atomic(folder / "a.json", "{\"a\": 1e999}");
  EXPECT_USER_ERROR(read_json(folder / "a.json"), "a.json", "not valid JSON");
}

TEST(Json, KeepsTheOrderOfKeys) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.json", R"({"z":1,"a":2})");
  EXPECT_EQ(read_json(folder / "a.json").dump(), R"({"z":1,"a":2})");
}

}  // namespace
}  // namespace multimeditron
