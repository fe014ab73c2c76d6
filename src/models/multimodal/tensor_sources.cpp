#include "models/multimodal/tensor_sources.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "base/error.h"

namespace multimeditron {

void TensorSources::add(const WeightFile& file, const std::string& prefix) {
  readers_.push_back(std::make_unique<WeightsReader>(file.path));
  homes_[prefix + file.part] = file.path;
  std::map<std::string, std::map<std::string, Found>> parts;  // by the whole's name, then by "1/3"
  for (const auto& [name, view] : readers_.back()->tensors()) {
    const std::string ours = file.rename(name);
    if (ours.empty()) continue;
    const Found found{&view, readers_.back()->file_of(name), name};
    if (const size_t at = ours.rfind('@'); at != std::string::npos) {
      parts[prefix + ours.substr(0, at)].insert_or_assign(ours.substr(at + 1), found);
    } else {
      found_.insert_or_assign(prefix + ours, found);
    }
  }
  for (const auto& [name, pieces] : parts) join(name, pieces);
}

/// One tensor out of those that hold its rows.
void TensorSources::join(const std::string& name, const std::map<std::string, Found>& parts) {
  const Found& first = parts.begin()->second;
  const std::string count = parts.begin()->first.substr(parts.begin()->first.find('/') + 1);
  TensorView whole{first.view->dtype, first.view->shape, {}};
  size_t size = 0;
  bool fit = std::to_string(parts.size()) == count && !whole.shape.empty();
  for (const auto& [number, part] : parts) {
    fit = fit && part.view->dtype == whole.dtype && part.view->shape == first.view->shape;
    size += part.view->bytes.size();
  }
  if (!fit) {
    throw UserError("tensors that belong together differ, or are not all there",
                    {.where = fmt::format("{}, tensor {}", first.file.string(), first.name),
                     .found = fmt::format("{} of {} of the same shape and dtype", parts.size(), count),
                     .fix = "download the model again"});
  }
  whole.shape[0] *= static_cast<int64_t>(parts.size());
  joined_bytes_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
  std::byte* out = joined_bytes_.back().get();
  whole.bytes = {out, size};
  for (const auto& [number, part] : parts) {
    std::memcpy(out, part.view->bytes.data(), part.view->bytes.size());
    out += part.view->bytes.size();
  }
  joined_.push_back(std::make_unique<TensorView>(std::move(whole)));
  found_.insert_or_assign(name, Found{joined_.back().get(), first.file, first.name});
}

const std::filesystem::path& TensorSources::home_of(const std::string& name) const {
  const std::filesystem::path* home = &homes_.begin()->second;
  for (const auto& [prefix, path] : homes_) {
    if (name.starts_with(prefix)) home = &path;  // a longer prefix of `name` comes later
  }
  return *home;
}

const TensorSources::Found* TensorSources::find(const std::string& name) const {
  const auto entry = found_.find(name);
  return entry == found_.end() ? nullptr : &entry->second;
}

}  // namespace multimeditron
