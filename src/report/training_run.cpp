#include "report/training_run.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "report/lines.h"

namespace multimeditron {
namespace {

constexpr size_t kMaxEvents = 200;

/// The value of a key at the margin of `recipe.yaml`, which the program itself wrote.
std::string top_level_value(std::string_view yaml, std::string_view key) {
  for (size_t begin = 0; begin < yaml.size();) {
    const size_t end = std::min(yaml.find('\n', begin), yaml.size());
    const std::string_view line = yaml.substr(begin, end - begin);
    if (line.starts_with(key) && line.substr(key.size()).starts_with(": ")) return std::string(line.substr(key.size() + 2));
    begin = end + 1;
  }
  return "";
}

bool is_sum(const std::string& key) {
  return key == "tokens" || key == "samples" || key == "seconds";
}

/// Steps' lines as columns, thinned to kMaxCurvePoints: the mean of each point's steps, but its last step, epoch and rate.
class Curves {
 public:
  explicit Curves(size_t num_steps) : steps_per_point_((num_steps + kMaxCurvePoints - 1) / kMaxCurvePoints) {
    steps_per_point_ = std::max<size_t>(steps_per_point_, 1);
  }

  void add(const Json& line) {
    for (const auto& [key, value] : line.items()) {
      if (!value.is_number() || is_sum(key)) continue;
      Column& column = columns_[key];
      if (column.values.size() < num_points_) column.values.resize(num_points_);  // a number that earlier lines lack
      column.sum += value.get<double>();
      column.last = value;
      ++column.count;
    }
    if (++num_in_point_ == steps_per_point_) finish_point();
  }

  Json finish() {
    if (num_in_point_ > 0) finish_point();
    Json columns = Json::object();
    for (const char* key : {"step", "epoch", "loss", "grad_norm", "learning_rate"}) {
      if (columns_.contains(key)) columns[key] = columns_[key].values;
    }
    for (auto& [key, column] : columns_) {
      if (!columns.contains(key)) columns[key] = column.values;
    }
    return columns;
  }

  size_t steps_per_point() const { return steps_per_point_; }

 private:
  struct Column {
    std::vector<Json> values;
    double sum = 0;
    Json last;
    size_t count = 0;
  };

  void finish_point() {
    for (auto& [key, column] : columns_) {
      const bool takes_last = steps_per_point_ == 1 || key == "step" || key == "epoch" || key == "learning_rate";
      column.values.push_back(column.count == 0 ? Json() : takes_last ? column.last : Json(column.sum / static_cast<double>(column.count)));
      column.sum = 0;
      column.count = 0;
    }
    num_in_point_ = 0;
    ++num_points_;
  }

  std::map<std::string, Column> columns_;
  size_t steps_per_point_;
  size_t num_in_point_ = 0, num_points_ = 0;
};

/// What of an event the page can show: numbers, words and truth values.
Json plain_fields(const Json& line) {
  Json fields = Json::object();
  for (const auto& [key, value] : line.items()) {
    if (value.is_number() || value.is_boolean() || value.is_string()) fields[key] = value;
  }
  return fields;
}

/// How the gate of a run of `train-gate` did on each draw; empty where there is none.
Json gate_results(const std::filesystem::path& folder) {
  const Json report = Json::parse(content_or_nothing(folder / "gate_report.json"), nullptr, false);
  Json results = Json::object();
  if (!report.is_object()) return results;
  for (const char* key : {"classes", "epoch", "validation", "test"}) {
    if (report.contains(key)) results[key] = report[key];
  }
  return results;
}

/// How a run of `train-expert` recognised classes by their names; empty where it was not asked to.
Json zero_shot_results(const std::filesystem::path& folder) {
  Json report = Json::parse(content_or_nothing(folder / "zero_shot.json"), nullptr, false);
  return report.is_object() ? report : Json::object();
}

}  // namespace

Json read_training_run(const Source& source) {
  const std::string recipe = content_or_nothing(source.folder / "recipe.yaml");
  std::string state = content_or_nothing(source.folder / "STATE");
  state = state.substr(0, state.find_first_of("\r\n"));

  const std::vector<Json> lines = json_lines(content_or_nothing(source.folder / "metrics.jsonl"));
  const auto is_step = [](const Json& line) {
    return !line.contains("event") && line.contains("step") && line["step"].is_number_integer();
  };
  Curves curves(static_cast<size_t>(std::count_if(lines.begin(), lines.end(), is_step)));
  Json events = Json::array();
  int64_t num_steps = 0, last_step = 0;
  std::map<std::string, double> sums;
  for (const Json& line : lines) {
    if (!is_step(line)) {
      if (line.contains("event") && events.size() < kMaxEvents) events.push_back(plain_fields(line));
      continue;
    }
    curves.add(line);
    ++num_steps;
    last_step = line["step"].get<int64_t>();
    for (const char* key : {"tokens", "samples", "seconds"}) {
      const auto value = line.find(key);
      if (value != line.end() && value->is_number()) sums[key] += value->get<double>();
    }
  }
  Json totals{{"steps", num_steps}, {"last_step", last_step}};
  for (const auto& [key, sum] : sums) totals[key] = sum;
  return {{"name", source.name},
          {"state", state},
          {"mode", top_level_value(recipe, "training_mode")},
          {"recipe", recipe},
          {"steps_per_point", curves.steps_per_point()},
          {"columns", curves.finish()},
          {"totals", totals},
          {"gate", gate_results(source.folder)},
          {"zero_shot", zero_shot_results(source.folder)},
          {"events", events}};
}

}  // namespace multimeditron
