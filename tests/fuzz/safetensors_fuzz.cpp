#include "base/error.h"
#include "checkpoint/safetensors.h"
#include "input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace multimeditron;
  // JSON is taken for an index beside no file, anything else for a file of tensors.
  const bool is_index = size > 0 && data[0] == '{';
  const auto file = testing::input_file(is_index ? "model.safetensors.index.json" : "model.safetensors", data, size);
  try {
    const SafetensorsReader reader(file);
    size_t sum = 0;
    for (const auto& [name, tensor] : reader.tensors())
      for (const std::byte byte : tensor.bytes) sum += static_cast<size_t>(byte);
    if (sum == SIZE_MAX) return -1;  // every byte that a view promises can be read
  } catch (const UserError&) {       // what a damaged file must give
  }
  return 0;
}
