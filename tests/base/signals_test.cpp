#include "base/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

namespace multimeditron {
namespace {

/// Runs `body` in a child and gives its wait status.
template <typename Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    install_stop_signals();
    body();
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(StopSignals, SetAFlagAndLetTheProcessGoOn) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const int status = in_child([signal] {
      const bool before = stop_requested();
      std::raise(signal);
      const bool named = std::strcmp(stop_signal_name(), signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGUSR1") == 0;
      ::_exit(!before && stop_requested() && named ? 0 : 1);
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << signal;
  }
}

TEST(StopSignals, ASecondInterruptEndsAtOnce) {
  const int status = in_child([] {
    std::raise(SIGINT);
    std::raise(SIGINT);
  });
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST(StopSignals, RepeatedRequestsOfASchedulerDoNotEndTheSave) {
  const int status = in_child([] {
    for (const int signal : {SIGTERM, SIGTERM, SIGUSR1, SIGINT}) std::raise(signal);
    ::_exit(std::strcmp(stop_signal_name(), "SIGTERM") == 0 ? 0 : 1);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace multimeditron
