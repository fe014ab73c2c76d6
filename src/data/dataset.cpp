#include "data/dataset.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/hub.h"
#include "data/combined.h"
#include "data/formats.h"
#include "data/parallel.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const char* const kKnownKinds = "a save_to_disk folder, Arrow, Parquet, JSON-lines or CSV files, or a folder of images for a class";

enum class Format { kArrow, kParquet, kJson, kCsv };

std::optional<Format> format_of_name(const fs::path& file) {
  std::string extension = file.extension().string();
  const bool is_packed = extension == ".gz" || extension == ".zst";
  if (is_packed) extension = file.stem().extension().string();
  if (extension == ".jsonl" || extension == ".ndjson" || extension == ".json") return Format::kJson;
  if (is_packed) return std::nullopt;
  if (extension == ".arrow" || extension == ".ipc" || extension == ".feather") return Format::kArrow;
  if (extension == ".parquet") return Format::kParquet;
  if (extension == ".csv" || extension == ".tsv") return Format::kCsv;
  return std::nullopt;
}

std::unique_ptr<Dataset> open_files(Format format, const std::vector<fs::path>& files, const fs::path& folder) {
  for (const fs::path& file : files) require_regular_file(file);
  switch (format) {
    case Format::kArrow:
      return open_arrow(files, folder, "");
    case Format::kParquet:
      return open_parquet(files, folder);
    case Format::kCsv:
      return open_csv(files, folder);
    default:
      return open_json(files, folder);
  }
}

/// A file that was named itself: its name decides, else its first bytes.
Format format_of_file(const fs::path& file) {
  require_regular_file(file);
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

/// Files below `folder` that are `wanted`, relative to it, sorted. Hidden folders and the descriptions beside the data are passed over.
std::vector<fs::path> find_files(const fs::path& folder, const std::function<bool(const fs::path&)>& wanted) {
  static const std::set<std::string> kDescriptions = {"state.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json",
                                                      "config.json"};
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator(); ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory() && (name.starts_with(".") || entry.depth() >= kDeepest)) entry.disable_recursion_pending();
    if (name.starts_with(".") || name.starts_with("cache-") || kDescriptions.contains(name) || !entry->is_regular_file()) continue;
    // By its name, not where it leads: the files of a hub snapshot are links to blobs.
    if (wanted(entry->path())) files.push_back(entry->path().lexically_relative(folder));
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// The training files of a folder without state.json: a hub snapshot or a folder that somebody filled.
std::unique_ptr<Dataset> open_plain_folder(const fs::path& folder) {
  for (const Format format : {Format::kArrow, Format::kParquet, Format::kJson, Format::kCsv}) {
    std::vector<fs::path> files = find_files(folder, [format](const fs::path& file) { return format_of_name(file) == format; });
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
  if (std::vector<fs::path> images = find_files(folder, is_image_name); !images.empty())
    return open_image_folder(std::move(images), folder);
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

/// `name` as a recipe spells it: a path, a pattern or a hub id, see base/hub.h; patterns may follow a hub id (`org/name/data/train-*`).
fs::path find_dataset(const std::string& name, const fs::path& recipe_folder, const std::string& key) {
  if (!is_pattern(name) || fs::exists(name)) return resolve_hub_path(name, recipe_folder, HubKind::kDataset, key);
  const fs::path path = name;
  if (path.is_absolute() || !match(name).empty()) return path;
  if (!match((recipe_folder / path).string()).empty()) return recipe_folder / path;
  fs::path plain, rest;
  for (const fs::path& part : path) (rest.empty() && !is_pattern(part.string()) ? plain : rest) /= part;
  const auto found = plain.empty() ? std::nullopt : find_in_hub(plain.string(), recipe_folder, HubKind::kDataset);
  return found ? *found / rest : recipe_folder / path;
}

/// Where the row's paths start from: never empty, it stands in messages.
fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

std::unique_ptr<Dataset> open_pattern(const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    if (!fs::is_directory(file)) continue;
    throw UserError("a pattern stands for files, not for folders",
                    {.where = file.string(), .found = "a folder", .fix = "name each folder by itself, or match the files in them"});
  }
  const Format format = format_of_file(files.front());
  for (const fs::path& file : files) {
    if (format_of_file(file) != format) {
      throw UserError("the files of a data set are of several kinds",
                      {.found = fmt::format("{} and {}", files.front().string(), file.string()), .fix = "narrow the pattern"});
    }
  }
  return open_files(format, files, folder_of(files.front()));
}

}  // namespace

void require_regular_file(const fs::path& file) {
  std::error_code code;
  const fs::file_status status = fs::status(file, code);
  if (fs::is_regular_file(status) || status.type() == fs::file_type::not_found || code) return;  // opening it says what is wrong
  throw UserError("a data set must be an ordinary file", {.where = file.string(),
                                                          .found = fs::is_directory(status) ? "a folder" : "a pipe, a socket or a device",
                                                          .fix = "write what it gives to a file first"});
}

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

std::string fingerprint_of_texts(const std::vector<fs::path>& files) {
  constexpr size_t kBlock = size_t{16} << 20;
  std::string all;
  for (const fs::path& file : files) {
    const MappedFile mapped(file);
    const std::span<const std::byte> bytes = mapped.bytes();
    std::vector<std::string> hashes(std::max<size_t>(1, (bytes.size() + kBlock - 1) / kBlock));
    for_each_parallel(std::ssize(hashes), static_cast<int>(std::min(8u, std::thread::hardware_concurrency())), [&](int64_t i) {
      const size_t first = static_cast<size_t>(i) * kBlock;
      hashes[static_cast<size_t>(i)] = sha256(bytes.subspan(first, std::min(kBlock, bytes.size() - first)));
    });
    all += fmt::format("{} {} ", file.filename().string(), bytes.size());
    for (const std::string& hash : hashes) all += hash;
  }
  return sha256(all);
}

std::unique_ptr<Dataset> open_dataset(const fs::path& path) {
  std::unique_ptr<Dataset> dataset;
  try {
    if (fs::is_directory(path)) {
      dataset = open_folder(path);
    } else if (fs::exists(path)) {
      dataset = open_files(format_of_file(path), {path}, folder_of(path));
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
  return with_role_warning(std::move(dataset));
}

std::unique_ptr<Dataset> open_datasets(std::span<const DatasetSpec> specs, const fs::path& recipe_file, const std::string& of,
                                       std::optional<int64_t> seed) {
  const fs::path recipe_folder = recipe_file.parent_path();
  std::vector<std::unique_ptr<Dataset>> parts;
  std::vector<double> weights;
  for (size_t i = 0; i < specs.size(); ++i) {
    const DatasetSpec& spec = specs[i];
    const std::string key = of == "datasets" || specs.size() > 1 ? fmt::format("{}.{}", of, i) : of;
    if (spec.weight && *spec.weight != 1.0 && !seed) {
      throw UserError("weights of data sets are not supported here",
                      {.where = fmt::format("{}, key {}.weight", recipe_file.string(), key),
                       .found = fmt::format("{}", *spec.weight),
                       .fix = "leave `weight` out; to repeat a data set, list it again; to take less of it, set `max_samples`"});
    }
    std::unique_ptr<Dataset> dataset =
        open_dataset(find_dataset(spec.packed_path, recipe_folder, key + (key.starts_with("datasets.") ? ".packed_path" : "")));
    if (spec.max_samples && *spec.max_samples < dataset->size()) dataset = first_rows(std::move(dataset), *spec.max_samples);
    parts.push_back(std::move(dataset));
    weights.push_back(spec.weight.value_or(1.0));
  }
  if (parts.empty())
    throw UserError("the recipe names no data set", {.where = recipe_file.string(), .found = "an empty `datasets`", .fix = "list one"});
  if (parts.size() == 1 && weights[0] == 1.0) return std::move(parts.front());
  return concatenation(std::move(parts), std::move(weights), static_cast<uint64_t>(seed.value_or(0)));
}

}  // namespace multimeditron
