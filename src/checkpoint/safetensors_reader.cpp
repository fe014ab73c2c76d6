#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_header.h"

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

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
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
  const Json json = read_json(index);
  const auto malformed = [&](const std::string& found) {
    throw UserError("this index of safetensors files is malformed", {.where = index.string(), .found = found, .fix = "download it again"});
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) malformed("no object `weight_map`");
  const Json& weight_map = json["weight_map"];
  std::set<std::string> names;
  for (const auto& [tensor, name] : weight_map.items()) {
    if (!name.is_string() || !is_plain_name(name.get_ref<const std::string&>()))
      malformed(fmt::format("tensor {}: not the name of a file beside the index", tensor));
    names.insert(name.get<std::string>());
  }
  for (const std::string& name : names) {
    std::error_code code;
    if (!fs::exists(index.parent_path() / name, code))
      throw UserError("a file of the model is missing", {.where = (index.parent_path() / name).string(),
                                                         .found = fmt::format("{} names it", index.filename().string()),
                                                         .fix = "copy or download the missing file"});
    open(index.parent_path() / name);
  }
  for (const auto& [tensor, name] : weight_map.items()) {
    const bool there = tensors_.contains(tensor) && file_of(tensor).filename() == name.get_ref<const std::string&>();
    if (!there)
      throw UserError("a tensor of the model is missing",
                      {.where = fmt::format("{}, tensor {}", (index.parent_path() / name.get<std::string>()).string(), tensor),
                       .found = fmt::format("{} says it is in this file", index.filename().string()),
                       .fix = "index and files are of different models: download them again"});
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
