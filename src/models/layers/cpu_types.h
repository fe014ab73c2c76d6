#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <c10/util/BFloat16.h>

#include <atomic>
#include <functional>

#include "models/kernels/kernels.h"

namespace multimeditron {

/// The kernels' pointer types for a tensor's memory.
template <class T>
T* pointer(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}
template <class T>
const T* const_pointer(const at::Tensor& tensor) {
  return static_cast<const T*>(tensor.const_data_ptr());
}

/// Calls `function(T{})` with T = float or kernels::bf16 after the tensor's dtype.
template <class Function>
auto dispatch(at::ScalarType dtype, Function&& function) {
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kBFloat16, "models compute in float32 or bfloat16");
  return dtype == at::kFloat ? function(float{}) : function(kernels::bf16{});
}

/// Runs task(0) ... task(count - 1) on the threads, each taking the next when it is free. Tasks must write to different places.
template <class Task>
void run_tasks(int64_t count, Task&& task) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, std::min<int64_t>(count, at::get_num_threads()), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < count; i = next++) task(i);
  });
}

/// Rows in blocks over the threads: function(first, last).
template <class Function>
void for_rows(int64_t rows, int64_t work_per_row, Function&& function) {
  at::parallel_for(0, rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, work_per_row)), function);
}

}  // namespace multimeditron
