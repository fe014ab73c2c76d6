#include "report/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "report/lines.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

/// Four digits are more than a colour has.
constexpr double kWeightDigits = 1e4;
constexpr int64_t kMaxGridSide = 1024;
constexpr double kMaxWeight = 1.001;  // a probability, with what rounding adds
constexpr double kMaxRegion = 1e4;    // shares of the image's sides; a small image has a black border many times its size

std::string text_of(const Json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_string() ? value->get<std::string>() : "";
}

/// A sample's image, the first where it has several; empty where it has none.
std::string image_of(const Json& sample, const char* key) {
  const auto value = sample.find(key);
  if (value != sample.end() && value->is_array() && !value->empty() && value->front().is_string()) return value->front().get<std::string>();
  return text_of(sample, key);
}

std::vector<Json> predictions(const Source& source, const std::string& task) {
  return json_lines(content_or_nothing(source.folder / fmt::format("predictions-{}.jsonl", task)));
}

/// Paths of images count from the task's file; where that has moved, from the evaluation's own folder. None leads out of these folders, or
/// out of the `--data-root` that the task was given (which counts only where the file lies in it).
class ImageFiles {
 public:
  ImageFiles(const Source& source, const Json& task) {
    const fs::path data = text_of(task, "data"), root = text_of(task, "data_root");
    for (const fs::path& allowed : {root, fs::path()}) {
      if (data.empty()) break;
      add(data.parent_path(), allowed);
      if (data.is_relative()) add(source.folder / data.parent_path(), allowed);
    }
    add(source.folder, {});
    is_table_ = data.extension() == ".tsv" || data.extension() == ".csv";
  }

  /// Whether `name` is no path but "line 7": the picture stands in the task's table, which the page leaves alone.
  bool is_inside_table(const std::string& name) const { return is_table_ && name.starts_with("line ") && find(name).empty(); }

  /// Empty where there is none.
  fs::path find(const std::string& name) const {
    for (const Place& place : places_) {
      try {
        const fs::path file = path_below(place.root, (place.folder / name).string());
        std::error_code code;
        if (fs::is_regular_file(file, code)) return file;
      } catch (const UserError&) {
        // It leads elsewhere.
      }
    }
    return {};
  }

 private:
  struct Place {
    fs::path folder, root;
  };

  void add(const fs::path& folder, const fs::path& root) {
    std::error_code code;
    const fs::path whole = fs::weakly_canonical(fs::absolute(folder), code);
    places_.push_back({whole, root.empty() ? whole : root});
  }

  std::vector<Place> places_;
  bool is_table_ = false;
};

/// What a page can show as it stands: a text, number or truth value, or a list of such; of anything else its JSON.
Json plain(const Json& value) {
  const auto is_plain = [](const Json& each) { return each.is_primitive(); };
  if (is_plain(value) || (value.is_array() && std::all_of(value.begin(), value.end(), is_plain))) return value;
  return value.dump();
}

Json sample_of(const Json& prediction, const ImageFiles& files, Thumbnails& thumbnails) {
  Json sample = Json::object();
  for (const char* key :
       {"id", "kind", "question", "reference", "answer", "score", "blind_answer", "blind_score", "swapped_answer", "swapped_score"}) {
    const auto value = prediction.find(key);
    if (value != prediction.end() && !value->is_null()) sample[key] = plain(*value);
  }
  for (const char* key : {"image", "swapped_image"}) {
    const std::string name = image_of(prediction, key);
    if (!name.empty() && !files.is_inside_table(name)) sample[key] = thumbnails.add(files.find(name));
  }
  return sample;
}

bool is_between(const Json& value, double low, double high) {
  return value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
}

/// What is wrong with a sample's map, or nothing. `region` may be null.
std::string fault_of(const Json& grid, const Json& weights, const Json& region) {
  const auto is_side = [](const Json& side) { return side.is_number_integer() && is_between(side, 1, kMaxGridSide); };
  if (!grid.is_array() || grid.size() != 2 || !std::all_of(grid.begin(), grid.end(), is_side)) {
    return fmt::format("a `grid` that is not two whole numbers from 1 to {}", kMaxGridSide);
  }
  if (!weights.is_array() || weights.size() != grid[0].get<size_t>() * grid[1].get<size_t>()) {
    return fmt::format("{} weights for a grid of {}", weights.size(), grid.dump());
  }
  for (const Json& weight : weights) {
    if (!is_between(weight, 0, kMaxWeight)) return "weights that are not numbers from 0 to 1";
  }
  if (region.is_null()) return "";
  const auto is_share = [](const Json& share) { return is_between(share, -kMaxRegion, kMaxRegion); };
  const bool is_box = region.is_array() && region.size() == 4 && std::all_of(region.begin(), region.end(), is_share);
  if (is_box && region[0].get<double>() < region[2].get<double>() && region[1].get<double>() < region[3].get<double>()) return "";
  return "a `region` that is not left, top, right and bottom as shares of the image";
}

Json attention_of(const Source& source, const std::string& task, const ImageFiles& files, Thumbnails& thumbnails) {
  const fs::path file = source.folder / fmt::format("attention-{}.json", task);
  std::error_code code;
  Json shown = Json::array();
  if (!fs::is_regular_file(file, code)) return shown;
  const Json content = read_json(file);
  for (const Json& sample : content.at("samples")) {
    const Json& weights = sample.at("weights");
    const std::string fault = fault_of(sample.at("grid"), weights, sample.value("region", Json()));
    if (!fault.empty()) {
      throw UserError("an attention map that cannot be drawn",
                      {.where = fmt::format("{}, sample `{}`", file.string(), text_of(sample, "id")),
                       .found = fault,
                       .fix = "run `multimeditron evaluate` again"});
    }
    Json one = Json::object();
    for (const char* key : {"id", "question", "reference", "answer", "token", "grid", "image_share", "region"}) {
      const auto value = sample.find(key);
      if (value != sample.end() && !value->is_null()) one[key] = plain(*value);
    }
    double largest = 0;
    for (const Json& weight : weights) largest = std::max(largest, weight.get<double>());
    Json scaled = Json::array();
    for (const Json& weight : weights)
      scaled.push_back(largest > 0 ? std::round(weight.get<double>() / largest * kWeightDigits) / kWeightDigits : 0);
    one["weights"] = std::move(scaled);
    const std::string name = image_of(sample, "image");
    if (!name.empty() && !files.is_inside_table(name)) one["image"] = thumbnails.add(files.find(name));
    shown.push_back(std::move(one));
  }
  return shown;
}

/// The results under a scorer's name; `baselines` and the plain values stand beside them.
std::string scorer_of(const Json& task) {
  for (const auto& [key, value] : task.items()) {
    if (key != "baselines" && value.is_object() && value.contains("overall")) return key;
  }
  return "";
}

Json read_task(const Source& source, const std::string& name, const Json& task, Thumbnails& thumbnails, size_t& max_samples) {
  const std::string scorer = scorer_of(task);
  if (scorer.empty()) {
    throw UserError("a task without scores", {.where = fmt::format("{}, task `{}`", (source.folder / "results.json").string(), name),
                                              .found = "no scorer with an `overall`",
                                              .fix = "run `multimeditron evaluate` again"});
  }
  const ImageFiles files(source, task);
  Json result{{"name", source.name}, {"task", name}, {"scorer", scorer}, {"scores", task[scorer]}};
  for (const char* key : {"baselines", "model", "seconds"}) {
    if (task.contains(key)) result[key] = task[key];
  }
  const std::vector<Json> all = predictions(source, name);
  Json samples = Json::array();
  for (const Json& prediction : all) {
    if (max_samples == 0) break;
    samples.push_back(sample_of(prediction, files, thumbnails));
    --max_samples;
  }
  result["num_samples"] = all.size();
  result["samples"] = std::move(samples);
  result["attention"] = attention_of(source, name, files, thumbnails);
  return result;
}

}  // namespace

Json read_evaluation(const Source& source, Thumbnails& thumbnails, size_t& max_samples) {
  const fs::path file = source.folder / "results.json";
  const Json results = read_json(file);
  Json tasks = Json::array();
  try {
    for (const auto& [name, task] : results.items()) {
      if (task.is_object()) tasks.push_back(read_task(source, name, task, thumbnails, max_samples));
    }
  } catch (const Json::exception& error) {
    throw UserError("an evaluation's files cannot be read",
                    {.where = source.folder.string(), .found = error.what(), .fix = "run `multimeditron evaluate` again"});
  }
  if (tasks.empty()) {
    throw UserError("an evaluation without tasks",
                    {.where = file.string(), .found = "no task with scores", .fix = "run `multimeditron evaluate` again"});
  }
  return tasks;
}

size_t count_images(const Source& source) {
  std::set<std::string> names;
  const Json results = read_json(source.folder / "results.json");
  if (!results.is_object()) return 0;
  for (const auto& [task, unused] : results.items()) {
    for (const Json& prediction : predictions(source, task)) {
      for (const char* key : {"image", "swapped_image"}) names.insert(image_of(prediction, key));
    }
  }
  names.erase("");
  return names.size();
}

}  // namespace multimeditron
