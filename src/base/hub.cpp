#include "base/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

fs::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? fs::path() : fs::path(value);
}

fs::path hugging_face_home() {
  if (const fs::path home = from_environment("HF_HOME"); !home.empty()) return home;
  if (const fs::path cache = from_environment("XDG_CACHE_HOME"); !cache.empty()) return cache / "huggingface";
  if (const fs::path home = from_environment("HOME"); !home.empty()) return home / ".cache" / "huggingface";
  return {};
}

/// The first that is set counts, as in huggingface_hub: whoever points HF_HUB_CACHE at a folder does not want another one searched.
fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const fs::path cache = from_environment(name); !cache.empty()) return cache;
  }
  const fs::path home = hugging_face_home();
  return home.empty() ? home : home / "hub";
}

/// "org/name@revision", split; `id` is empty where this cannot be a hub id.
struct HubName {
  std::string id, revision;
};

bool has_parent_step(const std::string& text) {
  const fs::path path(text);
  return path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end();
}

HubName parse_hub_name(const std::string& name) {
  HubName hub;
  const size_t at = name.find('@');
  const std::string id = name.substr(0, at);
  if (at != std::string::npos) hub.revision = name.substr(at + 1);
  const bool plain = std::all_of(
      id.begin(), id.end(), [](unsigned char c) { return (c < 0x80 && std::isalnum(c)) || c == '-' || c == '_' || c == '.' || c == '/'; });
  const size_t slash = id.find('/');
  const bool ends_well = !id.empty() && id.front() != '.' && id.front() != '/' && id.back() != '/' && id.find("/.") == std::string::npos;
  if (plain && ends_well && (slash == std::string::npos || id.find('/', slash + 1) == std::string::npos)) hub.id = id;
  return hub;
}

fs::path repository_folder(const fs::path& cache, const std::string& id, HubKind kind) {
  std::string folder = kind == HubKind::kModel ? "models--" : "datasets--";
  for (const char c : id) folder += c == '/' ? std::string("--") : std::string(1, c);
  return cache / folder;
}

std::vector<std::string> entries(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    names.push_back(it->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

bool is_folder(const fs::path& path) {
  std::error_code code;
  return fs::is_directory(path, code);
}

bool is_there(const fs::path& path) {
  std::error_code code;
  return fs::exists(path, code);
}

std::optional<fs::path> snapshot_of_ref(const fs::path& repository, const std::string& ref) {
  const fs::path file = repository / "refs" / ref;
  std::error_code code;
  if (!fs::is_regular_file(file, code)) return std::nullopt;
  std::string commit = read_file(file);
  commit.erase(std::find_if(commit.begin(), commit.end(), [](unsigned char c) { return !std::isxdigit(c); }), commit.end());
  const fs::path snapshot = repository / "snapshots" / commit;
  if (commit.empty() || !is_folder(snapshot)) return std::nullopt;
  return snapshot;
}

std::optional<fs::path> newest_snapshot(const fs::path& repository) {
  std::optional<fs::path> newest;
  fs::file_time_type newest_time;
  for (const std::string& name : entries(repository / "snapshots")) {
    const fs::path snapshot = repository / "snapshots" / name;
    std::error_code code;
    const fs::file_time_type time = fs::last_write_time(snapshot, code);
    if (code || !is_folder(snapshot) || (newest && time <= newest_time)) continue;
    newest = snapshot;
    newest_time = time;
  }
  return newest;
}

/// A branch or tag, a commit, or the beginning (at least 7 digits) of a commit that is the only one with it.
std::optional<fs::path> snapshot_of_revision(const fs::path& repository, const std::string& revision) {
  if (revision.empty()) {
    if (const auto snapshot = snapshot_of_ref(repository, "main")) return snapshot;
    return newest_snapshot(repository);
  }
  if (has_parent_step(revision)) return std::nullopt;
  if (const auto snapshot = snapshot_of_ref(repository, revision)) return snapshot;
  if (revision.size() < 7) return std::nullopt;
  std::optional<fs::path> found;
  for (const std::string& name : entries(repository / "snapshots")) {
    if (!name.starts_with(revision)) continue;
    if (found) return std::nullopt;
    found = repository / "snapshots" / name;
  }
  return found;
}

/// What "org/name[@revision]/folder" stands for: a part of a data set in the cache. Revisions may hold slashes themselves.
std::optional<fs::path> find_inside(const fs::path& cache, const std::string& name) {
  if (has_parent_step(name)) return std::nullopt;
  size_t slash = name.find('/');
  if (slash != std::string::npos) slash = name.find('/', slash + 1);
  for (; slash != std::string::npos; slash = name.find('/', slash + 1)) {
    const HubName hub = parse_hub_name(name.substr(0, slash));
    if (hub.id.empty()) continue;
    const auto snapshot = snapshot_of_revision(repository_folder(cache, hub.id, HubKind::kDataset), hub.revision);
    if (snapshot && is_there(*snapshot / name.substr(slash + 1))) return *snapshot / name.substr(slash + 1);
  }
  return std::nullopt;
}

fs::path expand_home(const std::string& name) {
  if (name != "~" && !name.starts_with("~/")) return name;
  const fs::path home = from_environment("HOME");
  return home.empty() ? fs::path(name) : home / fs::path(name.substr(name.size() > 1 ? 2 : 1));
}

/// Hub ids of the cache's repositories of that kind.
std::vector<std::string> cached_ids(const fs::path& cache, HubKind kind) {
  const std::string prefix = kind == HubKind::kModel ? "models--" : "datasets--";
  std::vector<std::string> ids;
  for (const std::string& folder : entries(cache)) {
    if (!folder.starts_with(prefix)) continue;
    std::string id = folder.substr(prefix.size());
    if (const size_t dashes = id.find("--"); dashes != std::string::npos) id.replace(dashes, 2, "/");
    ids.push_back(id);
  }
  return ids;
}

/// Something of nearly that name: a cached repository, or an entry beside the missing path.
std::optional<std::string> nearest_name(const fs::path& path, const HubName& hub, const fs::path& cache, HubKind kind) {
  if (!hub.id.empty()) {
    const std::vector<std::string> ids = cached_ids(cache, kind);
    if (const auto id = nearest(hub.id, ids)) return id;
  }
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::vector<std::string> siblings = entries(parent);
  if (const auto sibling = nearest(path.filename().string(), siblings))
    return (path.has_parent_path() ? parent / *sibling : fs::path(*sibling)).string();
  return std::nullopt;
}

}  // namespace

fs::path program_cache() {
  if (const fs::path cache = from_environment("MULTIMEDITRON_CACHE"); !cache.empty()) return cache;
  const fs::path home = hugging_face_home();
  return home.empty() ? home : home / "multimeditron";
}

std::optional<fs::path> find_in_hub(const std::string& name, const fs::path& relative_to, HubKind kind) {
  if (name.empty()) return std::nullopt;
  const fs::path given = expand_home(name);
  if (is_there(given)) return given;
  if (given.is_relative() && !relative_to.empty() && is_there(relative_to / given)) return relative_to / given;
  const HubName hub = parse_hub_name(name);
  const fs::path cache = hub_cache();
  if (cache.empty()) return std::nullopt;
  if (!hub.id.empty()) {
    if (const auto snapshot = snapshot_of_revision(repository_folder(cache, hub.id, kind), hub.revision)) return snapshot;
  }
  return kind == HubKind::kDataset ? find_inside(cache, name) : std::nullopt;
}

fs::path resolve_hub_path(const std::string& name, const fs::path& relative_to, HubKind kind, const std::string& key) {
  if (const auto path = find_in_hub(name, relative_to, kind)) return *path;

  const char* what = kind == HubKind::kModel ? "model" : "data set";
  if (name.empty()) throw UserError(fmt::format("the name of a {} is empty", what), {.where = key, .fix = "give a path or a hub id"});
  const fs::path given = expand_home(name);
  const HubName hub = parse_hub_name(name);
  const fs::path cache = hub_cache();
  const fs::path repository = repository_folder(cache, hub.id, kind);

  std::vector<std::string> places = {fs::absolute(given).lexically_normal().string()};
  if (given.is_relative() && !relative_to.empty()) {
    const std::string beside = fs::absolute(relative_to / given).lexically_normal().string();
    if (beside != places.front()) places.push_back(beside);
  }
  if (!hub.id.empty() && !cache.empty()) places.push_back(repository.string());

  std::string found = "nothing at " + join_or(places);
  std::string fix;
  if (!hub.id.empty() && is_folder(repository)) {
    const std::vector<std::string> refs = entries(repository / "refs");
    found = fmt::format("{} is in the hub cache ({}), but not its revision {}", hub.id, repository.string(),
                        hub.revision.empty() ? "main" : hub.revision);
    fix = refs.empty() ? "download it again" : fmt::format("name a revision that is there ({}), or download this one", join_or(refs));
  } else if (const auto near = nearest_name(given, hub, cache, kind)) {
    fix = fmt::format("did you mean {}?", *near);
  } else if (hub.id.empty()) {
    fix = "check the path";
  } else {
    fix = "give a folder, or point HF_HOME at the hub cache that holds it (nothing is downloaded here)";
  }
  throw UserError(fmt::format("cannot find the {} {}", what, name), {.where = key, .found = found, .fix = fix});
}

}  // namespace multimeditron
