#pragma once

#include <functional>

namespace multimeditron {

/// Runs `body` and returns its exit code; what it throws becomes a message on standard error and a code: a UserError 2, Interrupted 75,
/// anything else 1 ("internal error", with a request to report it). No exception leaves this function.
int run_guarded(const std::function<int()>& body);

}  // namespace multimeditron
