#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/temporary_folder.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron::testing {

/// One of the tiny language models below tests/data/llm, with what transformers makes of it.
class LlmCase {
 public:
  explicit LlmCase(const std::string& name) : name(name), expected(read_json(data() / name / "expected.json")) {
    std::filesystem::create_directory(folder());
    for (const char* file : {"config.json", "model.safetensors"}) std::filesystem::copy(data() / name / file, folder());
    for (const char* file : {"tokenizer.json", "tokenizer_config.json"}) std::filesystem::copy(data() / "tokenizer" / file, folder());
  }

  static std::filesystem::path data() { return std::filesystem::path(TEST_DATA) / "llm"; }
  /// The model as a hub folder: weights, config and tokenizer together.
  std::filesystem::path folder() const { return temporary_ / "model"; }
  /// For what a test writes.
  std::filesystem::path out() const { return temporary_ / "out"; }
  Pretrained load(at::ScalarType dtype = at::kFloat) const { return load_checkpoint(folder(), dtype); }

  const std::string name;
  const Json expected;

 private:
  const TemporaryFolder temporary_;
};

inline const std::vector<std::string> kLlmCases{"apertus", "llama31",      "llama32_biases", "smollm2",
                                                "qwen2",   "qwen2_window", "mistral",        "qwen3"};

/// Texts of which every token is learnt.
inline std::vector<Sample> samples_of(const Json& input_ids) {
  std::vector<Sample> samples;
  for (const Json& ids : input_ids) {
    Sample sample;
    sample.text.input_ids = sample.text.labels = ids.get<std::vector<int64_t>>();
    samples.push_back(std::move(sample));
  }
  return samples;
}

/// +1 or -1 by splitmix64 of the index, as in tests/reference/llm_goldens.py.
inline double sign_of(uint64_t index) {
  uint64_t z = (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return ((z ^ (z >> 31)) >> 63) == 0 ? 1.0 : -1.0;
}

/// The difference of a tensor from the digest of another: norm, projection on a fixed direction, largest value, values at fixed places.
inline double difference_from_digest(const at::Tensor& tensor, const Json& digest) {
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous().flatten();
  const double* values = flat.const_data_ptr<double>();
  const int64_t count = flat.numel();
  double squares = 0, dot = 0, max = 0;
  for (int64_t i = 0; i < count; ++i) {
    squares += values[i] * values[i];
    dot += values[i] * sign_of(static_cast<uint64_t>(i));
    max = std::max(max, std::abs(values[i]));
  }
  const auto number = [&](size_t i) { return digest[i].get<double>(); };
  const double norm = number(0), scale = number(2);
  double difference =
      std::max({std::abs(std::sqrt(squares) - norm) / norm, std::abs(dot - number(1)) / norm, std::abs(max - scale) / scale});
  const auto spots = static_cast<int64_t>(digest.size()) - 3;
  for (int64_t i = 0; i < spots; ++i) {
    const double value = values[spots == 1 ? 0 : i * (count - 1) / (spots - 1)];
    difference = std::max(difference, std::abs(value - number(static_cast<size_t>(3 + i))) / scale);
  }
  return difference;
}

/// `TestSuite` for every case.
#define FOR_EVERY_LLM(suite)                                                                     \
  INSTANTIATE_TEST_SUITE_P(Llm, suite, ::testing::ValuesIn(::multimeditron::testing::kLlmCases), \
                           [](const auto& info) { return info.param; })

}  // namespace multimeditron::testing
