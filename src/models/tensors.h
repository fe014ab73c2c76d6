#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace multimeditron {

struct Parameter;

/// A tensor that shares the view's memory, and the safetensors dtype of a tensor.
at::Tensor to_tensor(const TensorView& view);
DType dtype_of(at::ScalarType type);

/// A parameter's data, to be written as `name`.
TensorSource source_of(const Parameter& parameter, const std::string& name);

/// The error of a tensor that does not fit its parameter.
UserError wrong_shape(const std::filesystem::path& file, const std::string& tensor, const std::vector<int64_t>& found,
                      const std::vector<int64_t>& expected);

}  // namespace multimeditron
