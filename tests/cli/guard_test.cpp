#include "cli/guard.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "base/error.h"

namespace multimeditron {
namespace {

/// Exit code and standard error of a body that throws `exception`.
template <class E>
std::pair<int, std::string> guarded(const E& exception) {
  ::testing::internal::CaptureStderr();
  const int code = run_guarded([&]() -> int { throw exception; });
  return {code, ::testing::internal::GetCapturedStderr()};
}

using Outcome = std::pair<int, std::string>;

TEST(Guard, PassesTheBodysCodeOn) {
  EXPECT_EQ(run_guarded([] { return 0; }), 0);
  EXPECT_EQ(run_guarded([] { return 7; }), 7);
}

TEST(Guard, TurnsExceptionsIntoMessagesAndCodes) {
  EXPECT_EQ(guarded(UserError("wrong", {.where = "w", .found = "f", .fix = "x"})),
            (Outcome{2, "error: wrong\n  where: w\n  found: f\n  fix:   x\n"}));
  EXPECT_EQ(guarded(UserErrors({UserError("one"), UserError("two")})), (Outcome{2, "error: one\nerror: two\n2 mistakes\n"}));
  EXPECT_EQ(guarded(UserErrors({UserError("one")})), (Outcome{2, "error: one\n"}));
  EXPECT_EQ(guarded(Interrupted()), (Outcome{75, "interrupted: stopped by a signal; the same command goes on from what is saved\n"}));
  const std::string report = "\nThis is a fault of the program, not yours. Please report it with the command that led to it.\n";
  EXPECT_EQ(guarded(std::runtime_error("bad tensor")), (Outcome{1, "internal error: bad tensor" + report}));
  EXPECT_EQ(guarded(42), (Outcome{1, "internal error: an exception of unknown type" + report}));
  EXPECT_EQ(guarded(std::bad_alloc()),
            (Outcome{1, "error: out of memory\n  fix:   give the process more memory, or use smaller batches\n"}));
  // LibTorch's words where an allocation fails
  EXPECT_EQ(guarded(std::runtime_error("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")),
            guarded(std::bad_alloc()));
  EXPECT_EQ(guarded(std::filesystem::filesystem_error("exists", "/closed", std::make_error_code(std::errc::permission_denied))),
            (Outcome{2,
                     "error: a file or folder cannot be used\n  where: /closed\n  found: Permission denied\n"
                     "  fix:   check the path and its permissions\n"}));
}

}  // namespace
}  // namespace multimeditron
