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
  const fs::path file = source.folder / fmt::format("predictions-{}.jsonl", task);
  std::error_code code;
  return fs::exists(file, code) ? json_lines(read_file(file)) : std::vector<Json>();
}

/// Paths of images count from the task's file; where that has moved, from the evaluation's own folder.
class ImageFiles {
 public:
  ImageFiles(const Source& source, const Json& task) {
    const fs::path data = text_of(task, "data");
    if (!data.empty()) {
      folders_.push_back(data.parent_path());
      if (data.is_relative()) folders_.push_back(source.folder / data.parent_path());
    }
    folders_.push_back(source.folder);
  }

  fs::path find(const std::string& name) const {
    std::error_code code;
    for (const fs::path& folder : folders_) {
      if (fs::exists(folder / name, code)) return folder / name;
    }
    return folders_.front() / name;
  }

 private:
  std::vector<fs::path> folders_;
};

Json sample_of(const Json& prediction, const ImageFiles& files, Thumbnails& thumbnails) {
  Json sample = Json::object();
  for (const char* key :
       {"id", "kind", "question", "reference", "answer", "score", "blind_answer", "blind_score", "swapped_answer", "swapped_score"}) {
    const auto value = prediction.find(key);
    if (value != prediction.end() && !value->is_null()) sample[key] = *value;
  }
  for (const char* key : {"image", "swapped_image"}) {
    const std::string name = image_of(prediction, key);
    if (!name.empty()) sample[key] = thumbnails.add(files.find(name));
  }
  return sample;
}

Json attention_of(const Source& source, const std::string& task, const ImageFiles& files, Thumbnails& thumbnails) {
  const fs::path file = source.folder / fmt::format("attention-{}.json", task);
  std::error_code code;
  Json shown = Json::array();
  if (!fs::exists(file, code)) return shown;
  const Json content = read_json(file);
  for (const Json& sample : content.at("samples")) {
    const Json& grid = sample.at("grid");
    const Json& weights = sample.at("weights");
    if (grid.size() != 2 || weights.size() != grid.at(0).get<size_t>() * grid.at(1).get<size_t>()) {
      throw UserError("attention weights that do not fill their grid",
                      {.where = fmt::format("{}, sample `{}`", file.string(), text_of(sample, "id")),
                       .found = fmt::format("{} weights for a grid of {}", weights.size(), grid.dump()),
                       .fix = "run `multimeditron evaluate` again"});
    }
    Json one = Json::object();
    for (const char* key : {"id", "question", "reference", "answer", "token", "grid", "image_share", "region"}) {
      if (sample.contains(key)) one[key] = sample[key];
    }
    double largest = 0;
    for (const Json& weight : weights) largest = std::max(largest, weight.get<double>());
    Json scaled = Json::array();
    for (const Json& weight : weights)
      scaled.push_back(largest > 0 ? std::round(weight.get<double>() / largest * kWeightDigits) / kWeightDigits : 0);
    one["weights"] = std::move(scaled);
    const std::string name = image_of(sample, "image");
    if (!name.empty()) one["image"] = thumbnails.add(files.find(name));
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
