#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "generation/parity_report.h"
#include "run_case.h"

namespace multimeditron::testing {

/// Compares a run's metrics.jsonl (`logging_level: micro`) with what the reference's training came out as: order of the samples, losses,
/// gradient norms, learning rates.
inline void report_trajectory(const std::string& parity_case, const std::string& mode, const std::filesystem::path& metrics,
                              const Json& expected) {
  std::vector<double> losses, norms, rates, micro_losses;
  Json batches = Json::array();
  for (const Json& step : step_lines(metrics)) {
    losses.push_back(step.at("loss"));
    norms.push_back(step.at("grad_norm"));
    rates.push_back(step.at("learning_rate"));
    for (const Json& loss : step.at("micro_losses")) micro_losses.push_back(loss);
    for (const Json& samples : step.at("micro_samples")) batches.push_back(samples);
  }
  EXPECT_EQ(batches, expected.at("batches"));
  const auto numbers = [&](const char* key) { return expected.at(key).get<std::vector<double>>(); };
  report_parity(parity_case, mode + " losses of micro-batches", largest_difference(micro_losses, numbers("micro_losses")), 1e-4);
  report_parity(parity_case, mode + " losses of steps", largest_difference(losses, numbers("step_losses")), 1e-4);
  report_parity(parity_case, mode + " gradient norms", largest_difference(norms, numbers("grad_norms_before_clipping")), 1e-4);
  report_parity(parity_case, mode + " learning rates", largest_difference(rates, numbers("learning_rates_logged")), 1e-8);
}

/// How far a tensor is from what is stated of it: its norm, and its product with cos(0), cos(1), ..., relative to the norm.
inline double difference_from_stated(const at::Tensor& ours, double norm, double product) {
  const at::Tensor flat = ours.to(at::kDouble).flatten();
  const double our_product = (flat * at::arange(flat.numel(), at::kDouble).cos()).sum().item<double>();
  return std::max(std::abs(flat.norm().item<double>() - norm), std::abs(our_product - product)) / norm;
}

}  // namespace multimeditron::testing
