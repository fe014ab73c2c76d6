#include "data/dataset.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/hub.h"
#include "base/json.h"
#include "data/formats.h"
#include "data/row_index.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const char* const kKnownKinds = "a save_to_disk folder, Arrow, Parquet or JSON-lines files";

enum class Format { kArrow, kParquet, kJson };

std::optional<Format> format_of_name(const fs::path& file) {
  const std::string extension = file.extension().string();
  if (extension == ".arrow" || extension == ".ipc" || extension == ".feather") return Format::kArrow;
  if (extension == ".parquet") return Format::kParquet;
  if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") return Format::kJson;
  return std::nullopt;
}

std::unique_ptr<Dataset> open_files(Format format, const std::vector<fs::path>& files, const fs::path& folder,
                                    const std::string& fingerprint = "") {
  switch (format) {
    case Format::kArrow:
      return open_arrow(files, folder, fingerprint);
    case Format::kParquet:
      return open_parquet(files, folder);
    default:
      return open_json(files, folder);
  }
}

/// A file that was named itself: its name decides, else its first bytes.
Format format_of_file(const fs::path& file) {
  if (const auto format = format_of_name(file)) return *format;
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), std::min<size_t>(mapped.bytes().size(), 64));
  if (text.starts_with("PAR1")) return Format::kParquet;
  if (text.starts_with("ARROW1") || text.starts_with("\xff\xff\xff\xff")) return Format::kArrow;
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && (text[first] == '{' || text[first] == '[')) return Format::kJson;
  throw UserError("a data set file of no known kind", {.where = file.string(), .fix = fmt::format("give {}", kKnownKinds)});
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string list_names(const std::vector<std::string>& names) {
  constexpr size_t kMost = 12;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMost); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMost) text += fmt::format(" and {} more", names.size() - kMost);
  return text.empty() ? "an empty folder" : text;
}

std::unique_ptr<Dataset> open_saved_folder(const fs::path& folder) {
  const fs::path state_file = folder / "state.json";
  const Json state = read_json(state_file);
  const auto files = state.find("_data_files");
  if (files == state.end() || !files->is_array()) {
    throw UserError("a save_to_disk folder without its list of files",
                    {.where = state_file.string(), .found = "no list `_data_files`", .fix = "save the data set again"});
  }
  std::vector<fs::path> paths;
  for (const Json& file : *files) {
    const std::string name = file.is_object() ? file.value("filename", std::string()) : std::string();
    const fs::path path = fs::path(name).lexically_normal();
    if (name.empty() || path.is_absolute() || *path.begin() == "..") {
      throw UserError("a save_to_disk folder names a file outside itself",
                      {.where = state_file.string(), .found = file.dump(), .fix = "save the data set again"});
    }
    if (!fs::exists(folder / path)) {
      throw UserError(
          "a file of the data set is missing",
          {.where = state_file.string(), .found = fmt::format("{} is listed there", name), .fix = "copy the whole folder again"});
    }
    paths.push_back(folder / path);
  }
  const auto fingerprint = state.find("_fingerprint");
  return open_arrow(paths, folder, fingerprint != state.end() && fingerprint->is_string() ? fingerprint->get<std::string>() + "-" : "");
}

/// Words by which hub data sets name their splits, as a folder or at the start of a file's name.
bool names_split(const fs::path& relative, std::initializer_list<const char*> words) {
  for (const fs::path& part : relative) {
    std::string name = part.string();
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    for (const char* word : words) {
      if (!name.starts_with(word)) continue;
      const size_t length = std::strlen(word);
      if (name.size() == length || !std::isalpha(static_cast<unsigned char>(name[length]))) return true;
    }
  }
  return false;
}

constexpr int kDeepest = 4;

/// Data files of `format` below `folder`, relative to it, sorted. Hidden folders and the descriptions beside the data are passed over.
std::vector<fs::path> find_files(const fs::path& folder, Format format) {
  static const std::set<std::string> kDescriptions = {"state.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json",
                                                      "config.json"};
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory() && (name.starts_with(".") || entry.depth() >= kDeepest)) entry.disable_recursion_pending();
    if (name.starts_with(".") || name.starts_with("cache-") || kDescriptions.contains(name) || !entry->is_regular_file()) continue;
    if (format_of_name(entry->path()) == format) files.push_back(fs::relative(entry->path(), folder));
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// The training files of a folder without state.json: a hub snapshot or a folder that somebody filled.
std::unique_ptr<Dataset> open_plain_folder(const fs::path& folder) {
  for (const Format format : {Format::kArrow, Format::kParquet, Format::kJson}) {
    std::vector<fs::path> files = find_files(folder, format);
    if (files.empty()) continue;
    std::vector<fs::path> train;
    std::copy_if(files.begin(), files.end(), std::back_inserter(train), [](const fs::path& file) {
      return names_split(file, {"train", "training"});
    });
    if (train.empty()) {
      std::copy_if(files.begin(), files.end(), std::back_inserter(train), [](const fs::path& file) {
        return !names_split(file, {"test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation"});
      });
    }
    std::vector<std::string> names, folders;
    for (const fs::path& file : files) names.push_back(file.string());
    if (train.empty()) {
      throw UserError(
          "the data set has no training split",
          {.where = folder.string(), .found = list_names(names), .fix = "name the files that are meant, for instance " + names[0]});
    }
    // A configuration's files lie side by side; several of them are several data sets.
    for (const fs::path& file : train) folders.push_back(file.parent_path().string());
    folders.erase(std::unique(folders.begin(), folders.end()), folders.end());
    if (folders.size() > 1) {
      throw UserError("the data set has several configurations",
                      {.where = folder.string(),
                       .found = list_names(folders),
                       .fix = fmt::format("name one, for instance {}", (folder / folders[0]).string())});
    }
    std::vector<fs::path> paths;
    for (const fs::path& file : train) paths.push_back(folder / file);
    return open_files(format, paths, folder);
  }
  throw UserError("no data set in this folder",
                  {.where = folder.string(), .found = list_names(names_in(folder)), .fix = fmt::format("give {}", kKnownKinds)});
}

std::unique_ptr<Dataset> open_folder(const fs::path& folder) {
  if (fs::exists(folder / "state.json")) return open_saved_folder(folder);
  if (fs::exists(folder / "train" / "state.json")) return open_saved_folder(folder / "train");
  if (fs::exists(folder / "dataset_dict.json")) {
    throw UserError("the data set has no training split",
                    {.where = folder.string(), .found = list_names(names_in(folder)), .fix = "give the folder of the split that is meant"});
  }
  return open_plain_folder(folder);
}

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != std::string::npos;
}

/// Files that match a pattern, sorted.
std::vector<fs::path> match(const std::string& pattern) {
  glob_t found{};
  std::vector<fs::path> files;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return files;
}

std::unique_ptr<Dataset> open_pattern(const std::vector<fs::path>& files) {
  const Format format = format_of_file(files.front());
  for (const fs::path& file : files) {
    if (format_of_file(file) != format) {
      throw UserError("the files of a data set are of several kinds",
                      {.found = fmt::format("{} and {}", files.front().string(), file.string()), .fix = "narrow the pattern"});
    }
  }
  return open_files(format, files, files.front().parent_path());
}

/// The first rows of a data set.
class FirstRows : public Dataset {
 public:
  FirstRows(std::unique_ptr<Dataset> dataset, int64_t size) : dataset_(std::move(dataset)), size_(size) {}
  int64_t size() const override { return size_; }
  Row row(int64_t index) const override { return dataset_->row(index); }
  std::string fingerprint() const override { return fmt::format("{}[:{}]", dataset_->fingerprint(), size_); }
  std::string place(int64_t index) const override { return dataset_->place(index); }
  fs::path folder(int64_t index) const override { return dataset_->folder(index); }

 private:
  std::unique_ptr<Dataset> dataset_;
  int64_t size_;
};

/// Data sets one after the other.
class Concatenation : public Dataset {
 public:
  explicit Concatenation(std::vector<std::unique_ptr<Dataset>> parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) index_.add_part(part->size());
  }
  int64_t size() const override { return index_.size(); }
  Row row(int64_t index) const override {
    const auto [part, row] = index_.find(index);
    return parts_[part]->row(row);
  }
  std::string place(int64_t index) const override {
    const auto [part, row] = index_.find(index);
    return parts_[part]->place(row);
  }
  fs::path folder(int64_t index) const override {
    const auto [part, row] = index_.find(index);
    return parts_[part]->folder(row);
  }
  std::string fingerprint() const override {
    std::string all;
    for (const auto& part : parts_) all += part->fingerprint() + "\n";
    return sha256(all);
  }

 private:
  std::vector<std::unique_ptr<Dataset>> parts_;
  RowIndex index_;
};

}  // namespace

std::string fingerprint_of_files(const std::vector<fs::path>& files) {
  constexpr size_t kPage = 4096, kPages = 16;
  std::string all;
  for (const fs::path& file : files) {
    const MappedFile mapped(file);
    const std::span<const std::byte> bytes = mapped.bytes();
    all += fmt::format("{} {} ", file.filename().string(), bytes.size());
    if (bytes.size() <= kPage * kPages) {
      all += sha256(bytes);
      continue;
    }
    // Headers stand at the start, Parquet's and Arrow's indices at the end.
    for (size_t i = 0; i < kPages; ++i) all += sha256(bytes.subspan((bytes.size() - kPage) / (kPages - 1) * i, kPage));
    all += sha256(bytes.last(kPage));
  }
  return sha256(all);
}

std::unique_ptr<Dataset> open_dataset(const fs::path& path) {
  std::unique_ptr<Dataset> dataset;
  try {
    if (fs::is_directory(path)) {
      dataset = open_folder(path);
    } else if (fs::exists(path)) {
      dataset = open_files(format_of_file(path), {path}, path.parent_path());
    } else if (const std::vector<fs::path> files = is_pattern(path.string()) ? match(path.string()) : std::vector<fs::path>();
               !files.empty()) {
      dataset = open_pattern(files);
    } else {
      throw UserError(is_pattern(path.string()) ? "no file matches the data set's pattern" : "the data set does not exist",
                      {.where = path.string(), .fix = "check the path"});
    }
  } catch (const fs::filesystem_error& error) {
    throw UserError("cannot look into the data set's folder",
                    {.where = error.path1().string(), .found = error.code().message(), .fix = "check the path and its permissions"});
  }
  if (dataset->size() == 0)
    throw UserError("the data set is empty", {.where = path.string(), .found = "no rows", .fix = "leave it out of `datasets`"});
  return dataset;
}

std::unique_ptr<Dataset> open_datasets(std::span<const DatasetSpec> specs, const fs::path& recipe_file, const std::string& of) {
  const fs::path recipe_folder = recipe_file.parent_path();
  std::vector<std::unique_ptr<Dataset>> parts;
  for (size_t i = 0; i < specs.size(); ++i) {
    const DatasetSpec& spec = specs[i];
    const std::string key = fmt::format("{}[{}]", of, i);
    if (spec.weight && *spec.weight != 1.0) {
      throw UserError("weights of data sets are not supported",
                      {.where = fmt::format("{}, {}.weight", recipe_file.string(), key),
                       .found = fmt::format("{}", *spec.weight),
                       .fix = "leave `weight` out; to repeat a data set, list it again; to take less of it, set `max_samples`"});
    }
    fs::path path = spec.packed_path;
    if (is_pattern(spec.packed_path) && !fs::exists(path)) {
      if (path.is_relative() && match(path.string()).empty()) path = recipe_folder / path;
    } else {
      path = resolve_hub_path(spec.packed_path, recipe_folder, HubKind::kDataset, key + ".packed_path");
    }
    std::unique_ptr<Dataset> dataset = open_dataset(path);
    if (spec.max_samples && *spec.max_samples < dataset->size())
      dataset = std::make_unique<FirstRows>(std::move(dataset), *spec.max_samples);
    parts.push_back(std::move(dataset));
  }
  if (parts.empty())
    throw UserError("the recipe names no data set", {.where = recipe_file.string(), .found = "an empty `datasets`", .fix = "list one"});
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<Concatenation>(std::move(parts));
}

}  // namespace multimeditron
