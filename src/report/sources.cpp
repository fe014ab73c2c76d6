#include "report/sources.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"

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

/// The last `count` parts of a path.
std::string last_parts(const fs::path& path, std::ptrdiff_t count) {
  fs::path tail;
  for (auto part = std::prev(path.end(), std::min(count, std::distance(path.begin(), path.end()))); part != path.end(); ++part) {
    tail /= *part;
  }
  return tail.string();
}

/// The folders' own names, with so much of the path before them that they differ. "runs/stage2/" and "." as well as "runs/stage2" name one.
std::vector<std::string> names_of(std::span<const fs::path> folders) {
  std::vector<fs::path> paths;
  for (const fs::path& folder : folders) {
    const fs::path path = fs::absolute(folder).lexically_normal();
    paths.push_back(path.has_filename() ? path : path.parent_path());
  }
  const std::set<fs::path> different(paths.begin(), paths.end());
  for (std::ptrdiff_t count = 1;; ++count) {
    std::set<std::string> known;
    for (const fs::path& path : different) known.insert(last_parts(path, count));
    if (known.size() < different.size()) continue;
    std::vector<std::string> names;
    for (const fs::path& path : paths) names.push_back(last_parts(path, count));
    return names;
  }
}

class Search {
 public:
  /// `folder` and what lies below it, into `sources`. `label`: what a folder without a `name` is called. Returns whether there was
  /// anything.
  bool collect(const fs::path& folder, const fs::path& name, const std::string& label, int depth) {
    const bool is_demo = has(folder, "demo.json"), is_evaluation = has(folder, "results.json");
    const bool is_run = has(folder, "metrics.jsonl") || (has(folder, "recipe.yaml") && has(folder, "STATE"));
    bool found = is_demo || is_run || is_evaluation;
    std::error_code code;
    if (found && seen_.insert(fs::weakly_canonical(folder, code)).second) {
      const Source source{folder, name.empty() ? label : name.string()};
      if (is_demo) sources.demos.push_back(source);
      if (is_run) sources.runs.push_back(source);
      if (is_evaluation) sources.evaluations.push_back(source);
      if (is_demo) depth = kDepth;
    }
    if (depth == 0) return found;
    for (const fs::path& each : subfolders(folder)) {
      if (collect(each, name / each.filename(), label, depth - 1)) found = true;
    }
    return found;
  }

  Sources sources;

 private:
  std::set<fs::path> seen_;
};

}  // namespace

Sources find_sources(std::span<const fs::path> folders) {
  Search search;
  const std::vector<std::string> names = names_of(folders);
  for (size_t i = 0; i < folders.size(); ++i) {
    UserError::Details mistake{
        .where = folders[i].string(), .found = {}, .fix = "name the `output_dir` of a training run or the folder of an evaluation"};
    std::error_code code;
    if (!fs::is_directory(folders[i], code)) {
      mistake.found = fs::exists(folders[i], code) ? "a file" : "no such folder";
      throw UserError("a run's folder is missing", mistake);
    }
    // Below a single folder its own name says nothing; among several it tells them apart.
    if (!search.collect(folders[i], folders.size() > 1 ? names[i] : "", names[i], kDepth)) {
      mistake.found = "no metrics.jsonl, results.json or demo.json in it or two levels below";
      throw UserError("this folder holds no run", mistake);
    }
    search.sources.title += (i == 0 ? "" : ", ") + names[i];
  }
  return std::move(search.sources);
}

std::string content_or_nothing(const fs::path& file) {
  std::error_code code;
  return fs::is_regular_file(file, code) ? read_file(file) : "";
}

}  // namespace multimeditron
