#include "checkpoint/weight_map.h"

#include <fmt/format.h>

#include <set>

#include "base/json.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

}  // namespace

std::map<std::string, std::string> read_weight_map(const fs::path& index) {
  const Json json = read_json(index);
  const auto malformed = [&](const std::string& found) {
    throw UserError("this index of a model's files is malformed", {.where = index.string(), .found = found, .fix = "download it again"});
  };
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) malformed("no object `weight_map`");
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, name] : json["weight_map"].items()) {
    if (!name.is_string() || !is_plain_name(name.get_ref<const std::string&>()))
      malformed(fmt::format("tensor {}: not the name of a file beside the index", tensor));
    weight_map[tensor] = name.get<std::string>();
  }
  return weight_map;
}

std::vector<fs::path> files_of(const std::map<std::string, std::string>& weight_map, const fs::path& index) {
  std::set<std::string> names;
  for (const auto& [tensor, name] : weight_map) names.insert(name);
  std::vector<fs::path> files;
  for (const std::string& name : names) {
    files.push_back(index.parent_path() / name);
    std::error_code code;
    if (!fs::exists(files.back(), code))
      throw UserError("a file of the model is missing", {.where = files.back().string(),
                                                         .found = fmt::format("{} names it", index.filename().string()),
                                                         .fix = "copy or download the missing file"});
  }
  return files;
}

UserError missing_tensor(const fs::path& index, const std::string& tensor, const std::string& file) {
  return UserError("a tensor of the model is missing",
                   {.where = fmt::format("{}, tensor {}", (index.parent_path() / file).string(), tensor),
                    .found = fmt::format("{} says it is in this file", index.filename().string()),
                    .fix = "index and files are of different models: download them again"});
}

}  // namespace multimeditron
