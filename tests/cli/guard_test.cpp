#include "cli/guard.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(guarded(Interrupted()), (Outcome{75, "interrupted: stopped by a signal after saving\n"}));
  const std::string report = "\nThis is a fault of the program, not yours. Please report it with the command that led to it.\n";
  EXPECT_EQ(guarded(std::runtime_error("bad tensor")), (Outcome{1, "internal error: bad tensor" + report}));
  EXPECT_EQ(guarded(42), (Outcome{1, "internal error: an exception of unknown type" + report}));
  EXPECT_EQ(guarded(std::bad_alloc()),
            (Outcome{1, "error: out of memory\n  fix:   give the process more memory, or use smaller batches\n"}));
}

}  // namespace
}  // namespace multimeditron
