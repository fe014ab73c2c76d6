#include "checkpoint/weights.h"

#include "checkpoint/weight_map.h"

namespace multimeditron {

namespace fs = std::filesystem;

fs::path WeightsReader::file_in(const fs::path& folder) {
  std::error_code code;
  for (const char* name :
       {"model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
        "pytorch_model.bin", "pytorch_model.bin.index.json", "open_clip_pytorch_model.bin"}) {
    if (fs::exists(folder / name, code)) return folder / name;
  }
  return {};
}

WeightsReader::WeightsReader(const fs::path& folder) {
  const fs::path found = file_in(folder);
  const fs::path path = found.empty() ? folder : found;
  const std::string name = path.filename().string();
  if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth")) {
    add_torch(path);
  } else if (name.ends_with(".bin.index.json")) {
    const std::map<std::string, std::string> weight_map = read_weight_map(path);
    for (const fs::path& file : files_of(weight_map, path)) add_torch(file);
    for (const auto& [tensor, file] : weight_map) {
      if (!tensors_.contains(tensor) || files_.at(tensor).filename() != file) throw missing_tensor(path, tensor, file);
    }
  } else {
    safetensors_ = std::make_unique<SafetensorsReader>(path);  // a folder without any of the names: says what is there instead
    tensors_ = safetensors_->tensors();
    for (const auto& [tensor, view] : tensors_) files_.emplace(tensor, safetensors_->file_of(tensor));
  }
}

void WeightsReader::add_torch(const fs::path& file) {
  torch_files_.push_back(std::make_unique<TorchFileReader>(file));
  for (const auto& [tensor, view] : torch_files_.back()->tensors()) {
    tensors_.insert_or_assign(tensor, view);
    files_.insert_or_assign(tensor, file);
  }
}

const TensorView* WeightsReader::find(const std::string& name) const {
  const auto entry = tensors_.find(name);
  return entry == tensors_.end() ? nullptr : &entry->second;
}

const fs::path& WeightsReader::file_of(const std::string& name) const {
  return files_.at(name);
}

}  // namespace multimeditron
