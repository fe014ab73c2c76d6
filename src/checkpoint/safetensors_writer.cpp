#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_header.h"

namespace multimeditron {
namespace {

int64_t size_in_bytes(const TensorSource& tensor) {
  return TensorView{tensor.dtype, tensor.shape, {}}.numel() * static_cast<int64_t>(size_of(tensor.dtype));
}

/// Place in the Python library's order of dtypes: it writes the highest first, so that everything is aligned.
int rank_of(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return 0;
    case DType::kU8:
      return 1;
    case DType::kI8:
      return 2;
    case DType::kI16:
      return 3;
    case DType::kF16:
      return 4;
    case DType::kBF16:
      return 5;
    case DType::kI32:
      return 6;
    case DType::kF32:
      return 7;
    case DType::kF64:
      return 8;
    case DType::kI64:
      return 9;
  }
  throw std::logic_error("unknown DType");
}

void write_file(const std::filesystem::path& file, std::vector<const TensorSource*> tensors,
                const std::map<std::string, std::string>& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const TensorSource* a, const TensorSource* b) { return rank_of(a->dtype) > rank_of(b->dtype); });
  std::vector<SafetensorsEntry> entries;
  uint64_t end = 0;
  for (const TensorSource* tensor : tensors) {
    const uint64_t begin = end;
    end += static_cast<uint64_t>(size_in_bytes(*tensor));
    entries.push_back({tensor->name, tensor->dtype, tensor->shape, begin, end});
  }
  FileWriter writer(file);
  writer.write(format_safetensors_header(entries, metadata));
  for (const TensorSource* tensor : tensors) {
    const std::span<const std::byte> bytes = tensor->bytes();
    if (static_cast<int64_t>(bytes.size()) != size_in_bytes(*tensor))
      throw std::logic_error(fmt::format("tensor {} has {} bytes, {} expected", tensor->name, bytes.size(), size_in_bytes(*tensor)));
    writer.write(bytes);
  }
  writer.close();
}

void write_index(const std::filesystem::path& file, const std::vector<TensorSource>& tensors,
                 const std::map<std::string, std::string>& file_of) {
  int64_t total_parameters = 0, total_size = 0;
  for (const TensorSource& tensor : tensors) {
    total_parameters += TensorView{tensor.dtype, tensor.shape, {}}.numel();
    total_size += size_in_bytes(tensor);
  }
  Json index;
  index["metadata"] = {{"total_parameters", total_parameters}, {"total_size", total_size}};
  index["weight_map"] = file_of;
  FileWriter writer(file);
  writer.write(index.dump(2) + "\n");
  writer.close();
}

}  // namespace

void write_safetensors(const std::filesystem::path& folder, const std::string& stem, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata, int64_t max_shard_bytes) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorSource& a, const TensorSource& b) { return a.name < b.name; });
  for (size_t i = 1; i < tensors.size(); ++i) {
    if (tensors[i].name == tensors[i - 1].name) throw std::logic_error("two tensors named " + tensors[i].name);
  }

  std::vector<std::vector<const TensorSource*>> shards(1);
  int64_t shard_bytes = 0;
  for (const TensorSource& tensor : tensors) {
    const int64_t size = size_in_bytes(tensor);
    if (!shards.back().empty() && shard_bytes + size > max_shard_bytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shards.back().push_back(&tensor);
    shard_bytes += size;
  }
  if (shards.size() == 1) {
    write_file(folder / (stem + ".safetensors"), shards.front(), metadata);
    return;
  }
  std::map<std::string, std::string> file_of;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, i + 1, shards.size());
    write_file(folder / name, shards[i], metadata);
    for (const TensorSource* tensor : shards[i]) file_of[tensor->name] = name;
  }
  write_index(folder / (stem + ".safetensors.index.json"), tensors, file_of);
}

}  // namespace multimeditron
