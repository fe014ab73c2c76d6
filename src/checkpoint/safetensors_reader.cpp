#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/weight_map.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

/// The weights' file inside `folder`: the single file, or else the index of the shards.
fs::path weights_of(const fs::path& folder, const std::string& stem) {
  const fs::path single = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  std::error_code code;
  if (fs::exists(single, code)) return single;
  if (fs::exists(index, code)) return index;

  std::vector<std::string> others;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    const std::string extension = it->path().extension().string();
    if (extension == ".safetensors" || extension == ".bin" || extension == ".pt" || extension == ".pth")
      others.push_back(it->path().filename().string());
  }
  std::sort(others.begin(), others.end());
  const bool pickles =
      !others.empty() && std::all_of(others.begin(), others.end(), [](const std::string& name) { return !name.ends_with(".safetensors"); });
  throw UserError(
      fmt::format("there is no {}.safetensors (nor its index) here", stem),
      {.where = folder.string(),
       .found = others.empty() ? "no file of weights" : fmt::format("{}", fmt::join(others, ", ")),
       .fix = pickles ? "take a revision that has safetensors files, or convert the pickle with Python's safetensors.torch.save_file"
                      : "check the path, or download the model again"});
}

}  // namespace

SafetensorsReader::SafetensorsReader(const fs::path& path, const std::string& stem) {
  std::error_code code;
  const fs::path file = fs::is_directory(path, code) ? weights_of(path, stem) : path;
  if (file.extension() == ".json") {
    open_index(file);
  } else {
    open(file);
  }
}

void SafetensorsReader::open(const fs::path& file) {
  auto mapped = std::make_unique<MappedFile>(file);
  SafetensorsHeader header;
  try {
    header = parse_safetensors_header(mapped->bytes());
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
  const std::span<const std::byte> data = mapped->bytes().subspan(header.data_start);
  for (SafetensorsEntry& entry : header.entries) {
    std::span<const std::byte> bytes = data.subspan(entry.begin, entry.end - entry.begin);
    // Files of other writers may place a tensor where its dtype cannot be read; who maps tensors in place need not know.
    if (reinterpret_cast<uintptr_t>(bytes.data()) % size_of(entry.dtype) != 0) {
      aligned_.push_back(std::make_unique<std::byte[]>(bytes.size()));
      std::copy(bytes.begin(), bytes.end(), aligned_.back().get());
      bytes = {aligned_.back().get(), bytes.size()};
    }
    if (!tensors_.emplace(entry.name, TensorView{entry.dtype, std::move(entry.shape), bytes}).second)
      throw UserError("two files of a model hold the same tensor",
                      {.where = fmt::format("tensor {}", entry.name),
                       .found = fmt::format("it is in {} and in {}", file_of(entry.name).string(), file.string()),
                       .fix = "download the model again"});
    file_index_.emplace(entry.name, files_.size());
  }
  metadata_.merge(header.metadata);
  files_.push_back(std::move(mapped));
}

void SafetensorsReader::open_index(const fs::path& index) {
  const std::map<std::string, std::string> weight_map = read_weight_map(index);
  for (const fs::path& file : files_of(weight_map, index)) open(file);
  for (const auto& [tensor, name] : weight_map) {
    if (!tensors_.contains(tensor) || file_of(tensor).filename() != name) throw missing_tensor(index, tensor, name);
  }
}

const TensorView* SafetensorsReader::find(const std::string& name) const {
  const auto it = tensors_.find(name);
  return it == tensors_.end() ? nullptr : &it->second;
}

const fs::path& SafetensorsReader::file_of(const std::string& name) const {
  return files_.at(file_index_.at(name))->path();
}

}  // namespace multimeditron
