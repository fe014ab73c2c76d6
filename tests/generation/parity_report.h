#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "base/json.h"

namespace multimeditron::testing {

/// States the largest difference seen for one quantity of a case and checks it against its bound. The line also goes to the file that
/// $PARITY_REPORT names, as JSON: docs/parity.md is made of these.
inline void report_parity(const std::string& parity_case, const std::string& quantity, double largest, double bound) {
  std::puts(fmt::format("parity {} {}: {:.1e} (bound {:.0e})", parity_case, quantity, largest, bound).c_str());
  if (const char* file = std::getenv("PARITY_REPORT"); file != nullptr && *file != '\0') {
    std::ofstream(file, std::ios::app) << Json{{"case", parity_case}, {"quantity", quantity}, {"largest", largest}, {"bound", bound}}.dump()
                                       << "\n";
  }
  EXPECT_LE(largest, bound) << parity_case << ", " << quantity;
}

}  // namespace multimeditron::testing
