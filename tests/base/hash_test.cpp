#include "base/hash.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

// FIPS 180-4's own examples.
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, EqualsThePublishedExamples) {
  EXPECT_EQ(sha256(""), kEmpty);
  EXPECT_EQ(sha256("abc"), kAbc);
}

TEST(Sha256, InPiecesEqualsAtOnce) {
  Sha256 hash;
  const std::string piece(1000, 'a');
  for (int i = 0; i < 1000; ++i) hash.update(std::as_bytes(std::span(piece)));
  EXPECT_EQ(hash.finish(), kMillionA);
}

TEST(Sha256, OfAFileReadsAllOfIt) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a", "");
  EXPECT_EQ(sha256_of_file(folder / "a"), kEmpty);
  write_file_atomic(folder / "a", std::string(1'000'000, 'a'));
  EXPECT_EQ(sha256_of_file(folder / "a"), kMillionA);
  const std::string large(3'500'001, 'b');
  write_file_atomic(folder / "a", large);
  EXPECT_EQ(sha256_of_file(folder / "a"), sha256(large));
  EXPECT_USER_ERROR(sha256_of_file(folder / "none"), "none");
}

}  // namespace
}  // namespace multimeditron
