#include "recipe/missing.h"

#include <fmt/format.h>
#include <glob.h>

#include "base/hub.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != std::string::npos;
}

/// Does a pattern match a file, as open_datasets() looks for them: as given, beside the recipe, or behind a hub id?
bool matches(const std::string& pattern, const fs::path& near) {
  const auto finds = [](const fs::path& path) {
    glob_t found{};
    const bool is_found = ::glob(path.c_str(), 0, nullptr, &found) == 0;
    ::globfree(&found);
    return is_found;
  };
  if (finds(pattern) || finds(near / pattern)) return true;
  fs::path plain, rest;
  for (const fs::path& part : fs::path(pattern)) (rest.empty() && !is_pattern(part.string()) ? plain : rest) /= part;
  const auto folder = plain.empty() ? std::nullopt : find_in_hub(plain.string(), near, HubKind::kDataset);
  return folder && finds(*folder / rest);
}

bool holds_weights_itself(const fs::path& folder) {
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    const std::string kind = it->path().extension().string();
    if (kind == ".safetensors" || kind == ".bin" || kind == ".pt" || kind == ".pth") return true;
  }
  return false;
}

/// Whether there are weights in a model's folder, in a checkpoint of a run's, or in its best gate.
bool holds_weights(const fs::path& path) {
  std::error_code code;
  if (!fs::is_directory(path, code) || holds_weights_itself(path)) return true;
  for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    if ((name == "best" || name.starts_with("checkpoint-")) && holds_weights_itself(it->path())) return true;
  }
  return false;
}

class Search {
 public:
  explicit Search(const fs::path& recipe) : near_(recipe.parent_path()) {}

  void look_for(const std::string& key, const std::string& name, HubKind kind = HubKind::kModel) {
    if (name.empty() || find_in_hub(name, near_, kind)) return;
    if (kind == HubKind::kDataset && is_pattern(name) && matches(name, near_)) return;
    missing.push_back(fmt::format("{}: {}", key, name));
  }

  /// A model that is to be run: its configuration alone tells its size, and no more.
  void look_for_model(const std::string& key, const std::string& name) {
    look_for(key, name);
    if (name.empty()) return;
    if (const auto found = find_in_hub(name, near_, HubKind::kModel); found && !holds_weights(*found))
      missing.push_back(fmt::format("weights of {}: {}", key, name));
  }

  void look_for_data(const std::vector<DatasetSpec>& datasets, const std::vector<LoaderSpec>& loaders) {
    for (size_t i = 0; i < datasets.size(); ++i)
      look_for(fmt::format("datasets.{}.packed_path", i), datasets[i].packed_path, HubKind::kDataset);
    for (size_t i = 0; i < loaders.size(); ++i) {
      std::error_code code;
      const std::string& folder = loaders[i].base_path;
      if (!folder.empty() && !fs::is_directory(folder, code)) missing.push_back(fmt::format("loaders.{}.base_path: {}", i, folder));
    }
  }

  std::vector<std::string> missing;

 private:
  fs::path near_;
};

}  // namespace

std::vector<std::string> missing_parts(const Recipe& recipe) {
  Search search(recipe.file);
  search.look_for_model("base_model", recipe.base_model);
  if (recipe.base_model.empty()) {  // else the checkpoint carries its parts
    search.look_for_model("base_llm", recipe.base_llm);
    for (size_t k = 0; k < recipe.modalities.size(); ++k) {
      const ModalitySpec& modality = recipe.modalities[k];
      const auto key = [&](const char* name) { return fmt::format("modalities.{}.{}", k, name); };
      search.look_for_model(key("clip_name"), modality.clip_name);
      for (size_t e = 0; e < modality.expert_clip_names.size(); ++e)
        search.look_for_model(fmt::format("{}.{}", key("expert_clip_names"), e), modality.expert_clip_names[e]);
      search.look_for(key("image_processor"), modality.image_processor);
      search.look_for_model(key("gating_path"), modality.gating_path);
    }
  }
  search.look_for_data(recipe.datasets, recipe.loaders);
  return std::move(search.missing);
}

std::vector<std::string> missing_parts(const ExpertRecipe& recipe) {
  Search search(recipe.file);
  if (recipe.from_scratch) {
    search.look_for("clip_name", recipe.clip_name);
  } else {
    search.look_for_model("clip_name", recipe.clip_name);
  }
  for (size_t c = 0; c < recipe.zero_shot_classes.size(); ++c)
    for (const std::string& data : recipe.zero_shot_class_map[c])
      search.look_for("zero_shot_class_map." + recipe.zero_shot_classes[c], data, HubKind::kDataset);
  search.look_for_data(recipe.datasets, recipe.loaders);
  return std::move(search.missing);
}

std::vector<std::string> missing_parts(const GateRecipe& recipe) {
  Search search(recipe.file);
  if (recipe.normalisation == "image_processor") search.look_for("image_processor_path", recipe.image_processor_path);
  search.look_for_model("resume_from", recipe.resume_from);
  search.look_for_model("pretrained_backbone", recipe.pretrained_backbone);
  for (const auto& [key, map] :
       {std::pair("dataset_class_map", &recipe.dataset_class_map), {"test_dataset_class_map", &recipe.test_dataset_class_map}}) {
    for (size_t c = 0; c < map->size(); ++c)
      for (const std::string& data : (*map)[c]) search.look_for(fmt::format("{}.{}", key, c), data, HubKind::kDataset);
  }
  search.look_for_data({}, recipe.loaders);
  return std::move(search.missing);
}

}  // namespace multimeditron
