#include "report/sources.h"

#include <algorithm>

#include "base/error.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr int kDepth = 2;

bool has(const fs::path& folder, const char* name) {
  std::error_code code;
  return fs::is_regular_file(folder / name, code);
}

std::vector<fs::path> subfolders(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.') || name.find(".old-") != std::string::npos) continue;
    std::error_code ignored;
    if (entry->is_directory(ignored)) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void collect(const fs::path& folder, const fs::path& name, int depth, Sources& sources) {
  if (has(folder, "demo.json") && !sources.demo) sources.demo = folder;
  if (has(folder, "metrics.jsonl") || (has(folder, "recipe.yaml") && has(folder, "STATE"))) {
    sources.runs.push_back({folder, name.string()});
  }
  if (has(folder, "results.json")) sources.evaluations.push_back({folder, name.string()});
  if (depth == 0) return;
  for (const fs::path& each : subfolders(folder)) collect(each, name / each.filename(), depth - 1, sources);
}

/// "runs/stage2/" and "." as well as "runs/stage2" name a folder.
std::string name_of(const fs::path& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

}  // namespace

Sources find_sources(std::span<const fs::path> folders) {
  Sources sources;
  for (const fs::path& folder : folders) {
    std::error_code code;
    if (!fs::is_directory(folder, code)) {
      throw UserError("a run's folder is missing", {.where = folder.string(),
                                                    .found = fs::exists(folder, code) ? "a file" : "no such folder",
                                                    .fix = "name the `output_dir` of a training run or the folder of an evaluation"});
    }
    const size_t before = sources.runs.size() + sources.evaluations.size();
    const bool had_demo = sources.demo.has_value();
    const size_t first_run = sources.runs.size(), first_evaluation = sources.evaluations.size();
    collect(folder, {}, kDepth, sources);
    if (sources.runs.size() + sources.evaluations.size() == before && sources.demo.has_value() == had_demo) {
      throw UserError("this folder holds no run", {.where = folder.string(),
                                                   .found = "no metrics.jsonl, results.json or demo.json in it or two levels below",
                                                   .fix = "name the `output_dir` of a training run or the folder of an evaluation"});
    }
    // Below a single folder its own name says nothing; among several it tells them apart.
    for (size_t i = first_run; i < sources.runs.size(); ++i) {
      std::string& name = sources.runs[i].name;
      if (name.empty() || folders.size() > 1) name = (fs::path(name_of(folder)) / name).lexically_normal().string();
      if (name.ends_with('/')) name.pop_back();
    }
    for (size_t i = first_evaluation; i < sources.evaluations.size(); ++i) {
      std::string& name = sources.evaluations[i].name;
      if (name.empty() || folders.size() > 1) name = (fs::path(name_of(folder)) / name).lexically_normal().string();
      if (name.ends_with('/')) name.pop_back();
    }
  }
  return sources;
}

}  // namespace multimeditron
