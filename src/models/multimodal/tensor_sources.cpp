#include "models/multimodal/tensor_sources.h"

namespace multimeditron {

void TensorSources::add(const WeightFile& file, const std::string& prefix) {
  readers_.push_back(std::make_unique<SafetensorsReader>(file.path));
  for (const auto& [name, view] : readers_.back()->tensors()) {
    const std::string ours = file.rename(name);
    if (!ours.empty()) found_.insert_or_assign(prefix + ours, Found{&view, readers_.back()->file_of(name), name});
  }
}

const TensorSources::Found* TensorSources::find(const std::string& name) const {
  const auto entry = found_.find(name);
  return entry == found_.end() ? nullptr : &entry->second;
}

}  // namespace multimeditron
