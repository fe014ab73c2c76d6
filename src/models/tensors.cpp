#include "models/tensors.h"

#include <ATen/ops/from_blob.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "models/module.h"

namespace multimeditron {

at::Tensor to_tensor(const TensorView& view) {
  at::ScalarType type = at::kFloat;
  switch (view.dtype) {
    case DType::kF64:
      type = at::kDouble;
      break;
    case DType::kF32:
      type = at::kFloat;
      break;
    case DType::kF16:
      type = at::kHalf;
      break;
    case DType::kBF16:
      type = at::kBFloat16;
      break;
    case DType::kI64:
      type = at::kLong;
      break;
    case DType::kI32:
      type = at::kInt;
      break;
    case DType::kI16:
      type = at::kShort;
      break;
    case DType::kI8:
      type = at::kChar;
      break;
    case DType::kU8:
      type = at::kByte;
      break;
    case DType::kBool:
      type = at::kBool;
      break;
  }
  return at::from_blob(const_cast<std::byte*>(view.bytes.data()), view.shape, type);
}

DType dtype_of(at::ScalarType type) {
  if (type == at::kLong) return DType::kI64;
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16);
  return type == at::kFloat ? DType::kF32 : DType::kBF16;
}

TensorSource source_of(const Parameter& parameter, const std::string& name) {
  return {.name = name, .dtype = dtype_of(parameter.data.scalar_type()), .shape = parameter.shape, .bytes = [data = parameter.data] {
            return std::span(static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes());
          }};
}

UserError wrong_shape(const std::filesystem::path& file, const std::string& tensor, const std::vector<int64_t>& found,
                      const std::vector<int64_t>& expected) {
  return UserError("a tensor has the wrong shape",
                   {.where = fmt::format("{}, tensor {}", file.string(), tensor),
                    .found = fmt::format("[{}] where [{}] was expected", fmt::join(found, ", "), fmt::join(expected, ", ")),
                    .fix = "check that config.json and the weights belong together"});
}

}  // namespace multimeditron
