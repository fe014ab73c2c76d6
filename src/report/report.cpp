#include "report/report.h"

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

/// The recipes as a demo wrote them, without the defaults that a run's own copy spells out; each is named after its phase.
Json written_recipes(const fs::path& folder, const Json& demo) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator entry(folder / "recipes", code), end; !code && entry != end; entry.increment(code)) {
    std::error_code ignored;
    if (entry->path().extension() == ".yaml" && entry->is_regular_file(ignored)) files.push_back(entry->path());
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
  const std::string content = content_or_nothing(file);
  if (content.empty()) return "";
  try {
    return image_uri(decode_image(std::as_bytes(std::span(content.data(), content.size()))), kContactSheetSide, kContactSheetQuality);
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
}

fs::path resolved(const fs::path& folder) {
  std::error_code code;
  return fs::weakly_canonical(folder, code);
}

/// A demo as the page shows it; the `folder` of a phase becomes the name that its run or evaluation has there, or stays empty.
Json read_demo(const Source& source, const std::map<fs::path, std::string>& names) {
  const fs::path file = source.folder / "demo.json";
  const auto mistake = [&](const std::string& found) {
    return UserError("the demo's record cannot be read", {.where = file.string(), .found = found, .fix = "run the demo again"});
  };
  const Json content = read_json(file);
  try {
    Json demo{{"name", source.name}, {"seed", content.value("seed", Json(0))}, {"phases", content.value("phases", Json::array())}};
    if (!demo["seed"].is_number_integer()) throw mistake(std::string("a `seed` of type ") + demo["seed"].type_name());
    if (!demo["phases"].is_array()) throw mistake(std::string("`phases` of type ") + demo["phases"].type_name());
    for (Json& phase : demo["phases"]) {
      const std::string folder = phase.value("folder", "");
      const auto name = folder.empty() ? names.end() : names.find(resolved(source.folder / folder));
      phase["folder"] = name == names.end() ? "" : name->second;
      phase["name"] = phase.value("name", "");
    }
    demo["recipes"] = written_recipes(source.folder, demo);
    return demo;
  } catch (const Json::exception& error) {
    throw mistake(error.what());
  }
}

/// The demos, and runs and evaluations in the order of their phases; what these do not name comes after, by name.
Json read_demos(Sources& sources) {
  std::map<fs::path, std::string> names;
  for (const auto* list : {&sources.runs, &sources.evaluations}) {
    for (const Source& source : *list) names.emplace(resolved(source.folder), source.name);
  }
  Json demos = Json::array();
  std::map<std::string, size_t> places;
  for (const Source& source : sources.demos) {
    demos.push_back(read_demo(source, names));
    for (const Json& phase : demos.back()["phases"]) places.emplace(phase["folder"].get<std::string>(), places.size());
  }
  const auto place_of = [&](const Source& source) {
    const auto found = places.find(source.name);
    return found == places.end() ? places.size() : found->second;
  };
  for (auto* list : {&sources.runs, &sources.evaluations}) {
    std::stable_sort(list->begin(), list->end(), [&](const Source& a, const Source& b) { return place_of(a) < place_of(b); });
  }
  return demos;
}

}  // namespace

ReportSummary write_report(std::span<const fs::path> folders, const fs::path& output) {
  Sources sources = find_sources(folders);
  ReportSummary summary{.file = output.empty() ? folders.front() / "report.html" : output};
  Json data{{"title", sources.title}, {"date", today_iso_date()}, {"demos", read_demos(sources)}};
  Json runs = Json::array();
  for (const Source& source : sources.runs) runs.push_back(read_training_run(source));
  data["runs"] = std::move(runs);
  summary.num_runs = sources.runs.size();
  PathShortener::here().apply(data);
  for (size_t i = 0; i < sources.demos.size(); ++i) data["demos"][i]["contact_sheet"] = contact_sheet(sources.demos[i].folder);

  size_t num_images = 0;
  for (const Source& source : sources.evaluations) num_images += count_images(source);
  Thumbnails thumbnails(std::min(num_images, 2 * kMaxReportSamples));
  const PathShortener shorten = PathShortener::here({fs::absolute(summary.file).parent_path().string()});
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
