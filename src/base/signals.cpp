#include "base/signals.h"

#include <atomic>
#include <csignal>

namespace multimeditron {
namespace {

// Lock-free, hence allowed in a handler; volatile sig_atomic_t would not do for other threads.
std::atomic<int> first_signal{0};
std::atomic<bool> interrupted_once{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

void on_stop(int signal) {
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  if (signal == SIGINT && interrupted_once.exchange(true)) {
    std::signal(SIGINT, SIG_DFL);  // the parent sees a death by SIGINT, as it should
    std::raise(SIGINT);            // pending while the handler runs, delivered when it returns
  }
}

}  // namespace

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) ::sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() {
  return first_signal.load() != 0;
}

const char* stop_signal_name() {
  switch (first_signal.load()) {
    case SIGTERM:
      return "SIGTERM";
    case SIGINT:
      return "SIGINT";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "";
  }
}

}  // namespace multimeditron
