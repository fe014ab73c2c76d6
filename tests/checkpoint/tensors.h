#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace multimeditron {

/// A tensor of `values`, which the source keeps.
template <typename T>
TensorSource tensor_source(const std::string& name, DType dtype, std::vector<int64_t> shape, std::vector<T> values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return {name, dtype, std::move(shape), [bytes = std::move(bytes)] { return std::span<const std::byte>(bytes); }};
}

template <typename T>
std::vector<T> values_of(const TensorView& tensor) {
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

/// 0, 1, 2, ... as float: `[rows, columns]`.
inline TensorSource counting_tensor(const std::string& name, int64_t rows, int64_t columns, float first = 0) {
  std::vector<float> values(static_cast<size_t>(rows * columns));
  for (size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<float>(i);
  return tensor_source(name, DType::kF32, {rows, columns}, std::move(values));
}

}  // namespace multimeditron
