#pragma once

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/program.h"

namespace multimeditron::testing {

/// Trains a recipe of a worked example through the program, in the example's folder. `$OUT` is `out`.
inline Result train_case(const std::string& name, const std::string& recipe, const std::filesystem::path& out,
                         const std::vector<std::string>& overrides = {}) {
  const std::filesystem::path root = std::filesystem::path(TEST_DATA) / name;
  std::vector<std::string> command{"env",    "-C", root.string(), PROGRAM, "train", "--config", "cases/qwen3_clip/" + recipe + ".yaml",
                                   "--quiet"};
  command.insert(command.end(), overrides.begin(), overrides.end());
  return run_command(command, {"CASE_ROOT=" + root.string(), "OUT=" + out.string()});
}

/// The lines of metrics.jsonl that report a step.
inline std::vector<Json> step_lines(const std::filesystem::path& file) {
  std::vector<Json> steps;
  std::istringstream lines(content_of(file));
  for (std::string line; std::getline(lines, line);) {
    Json json = Json::parse(line);
    if (json.contains("loss")) steps.push_back(std::move(json));
  }
  return steps;
}

/// max |a - b| / |b|
inline double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, b[i] == 0 ? std::abs(a[i]) : std::abs(a[i] - b[i]) / std::abs(b[i]));
  }
  return largest;
}

}  // namespace multimeditron::testing
