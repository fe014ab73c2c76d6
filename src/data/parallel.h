#pragma once

#include <cstdint>
#include <functional>

namespace multimeditron {

/// Calls `body(i)` for i in [0, count) on `num_threads` threads (the caller's alone for 1 or less). The first exception stops the rest and
/// is thrown again.
void for_each_parallel(int64_t count, int num_threads, const std::function<void(int64_t)>& body);

}  // namespace multimeditron
