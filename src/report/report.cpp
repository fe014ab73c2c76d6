#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "report/evaluation.h"
#include "report/page.h"
#include "report/paths.h"
#include "report/training_run.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kContactSheetSide = 1600;
constexpr int kContactSheetQuality = 78;

std::string title_of(std::span<const fs::path> folders) {
  std::string title;
  for (const fs::path& folder : folders) {
    fs::path path = fs::absolute(folder).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    title += (title.empty() ? "" : ", ") + path.filename().string();
  }
  return title;
}

/// Below a demo its phases give the order; what they do not name comes after, by name.
void order_by_phases(const Json& demo, std::vector<Source>& sources) {
  std::map<std::string, size_t> place;
  for (const Json& phase : demo.value("phases", Json::array())) place.emplace(phase.value("folder", ""), place.size());
  const auto place_of = [&](const Source& source) {
    const auto found = place.find(source.name);
    return found == place.end() ? place.size() : found->second;
  };
  std::stable_sort(sources.begin(), sources.end(), [&](const Source& a, const Source& b) { return place_of(a) < place_of(b); });
}

/// The recipes as a demo wrote them, without the defaults that a run's own copy spells out; each is named after its phase.
Json written_recipes(const fs::path& folder, const Json& demo) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator entry(folder / "recipes", code), end; !code && entry != end; entry.increment(code)) {
    if (entry->path().extension() == ".yaml") files.push_back(entry->path());
  }
  const auto place_of = [&](const fs::path& file) {
    size_t place = 0;
    for (const Json& phase : demo.at("phases")) {
      if (phase.value("name", "") == file.stem()) break;
      ++place;
    }
    return std::pair(place, file);
  };
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) { return place_of(a) < place_of(b); });
  Json recipes = Json::array();
  for (const fs::path& file : files) {
    recipes.push_back({{"name", (fs::path("recipes") / file.filename()).string()}, {"recipe", read_file(file)}});
  }
  return recipes;
}

std::string contact_sheet(const fs::path& demo) {
  const fs::path file = demo / "data" / "contact-sheet.png";
  std::error_code code;
  if (!fs::is_regular_file(file, code)) return "";
  const std::string content = read_file(file);
  try {
    return image_uri(decode_image(std::as_bytes(std::span(content.data(), content.size()))), kContactSheetSide, kContactSheetQuality);
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
}

Json read_demo(const fs::path& folder) {
  const fs::path file = folder / "demo.json";
  const Json content = read_json(file);
  try {
    Json demo{{"seed", content.value("seed", int64_t{0})}, {"phases", content.value("phases", Json::array())}};
    for (Json& phase : demo["phases"]) {
      std::string folder = phase.value("folder", "");
      while (folder.ends_with('/')) folder.pop_back();
      phase["folder"] = folder;
      phase["name"] = phase.value("name", "");
    }
    return demo;
  } catch (const Json::exception& error) {
    throw UserError("the demo's record cannot be read", {.where = file.string(), .found = error.what(), .fix = "run the demo again"});
  }
}

}  // namespace

ReportSummary write_report(std::span<const fs::path> folders, const fs::path& output) {
  Sources sources = find_sources(folders);
  ReportSummary summary{.file = output.empty() ? folders.front() / "report.html" : output};
  Json data{{"title", title_of(folders)}, {"date", today_iso_date()}};
  if (sources.demo) {
    data["demo"] = read_demo(*sources.demo);
    order_by_phases(data["demo"], sources.runs);
    order_by_phases(data["demo"], sources.evaluations);
    data["recipes"] = written_recipes(*sources.demo, data["demo"]);
    data["contact_sheet"] = contact_sheet(*sources.demo);
  }
  const PathShortener shorten = PathShortener::here();
  Json runs = Json::array();
  for (const Source& source : sources.runs) runs.push_back(read_training_run(source));
  data["runs"] = std::move(runs);
  summary.num_runs = sources.runs.size();
  shorten.apply(data);

  size_t num_images = 0;
  for (const Source& source : sources.evaluations) num_images += count_images(source);
  Thumbnails thumbnails(std::min(num_images, 2 * kMaxReportSamples));
  Json evaluations = Json::array();
  size_t samples_left = kMaxReportSamples;
  for (const Source& source : sources.evaluations) {
    for (Json& task : read_evaluation(source, thumbnails, samples_left)) {
      if (task.contains("model")) shorten.apply(task["model"]);
      summary.num_samples += task["num_samples"].get<size_t>();
      evaluations.push_back(std::move(task));
    }
  }
  summary.num_evaluations = evaluations.size();
  data["evaluations"] = std::move(evaluations);

  const std::string page = render_page(data, thumbnails.uris());
  summary.size_bytes = static_cast<int64_t>(page.size());
  if (summary.file.has_parent_path()) {
    std::error_code code;
    fs::create_directories(summary.file.parent_path(), code);
    if (code) throw_file_error("create", summary.file.parent_path(), code.value());
  }
  write_file_atomic(summary.file, page);
  return summary;
}

}  // namespace multimeditron
