#include "evaluation/summary.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <thread>
#include <unordered_map>

#include "data/parallel.h"
#include "evaluation/scoring.h"

namespace multimeditron {
namespace {

/// Places in Measures.
enum Measure : size_t { kModel, kMajority, kBlind, kSwapped, kOverMajority, kOverBlind, kOverSwapped };

std::vector<Measures> score_rows(const Task& task, std::span<const RowAnswers> answers) {
  const std::vector<std::string> majority = majority_answers(task.rows);
  std::vector<Measures> scores(task.rows.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    const std::string& reference = task.rows[i].reference;
    const std::string& answer = answers[i].answer;
    Measures& row = scores[i];
    row[kModel] = exact_match(answer, reference);
    row[kMajority] = exact_match(majority[i], reference);
    row[kBlind] = exact_match(answers[i].blind.value_or(answer), reference);
    row[kSwapped] = exact_match(answers[i].swapped.value_or(answer), reference);
    row[kOverMajority] = row[kModel] - row[kMajority];
    row[kOverBlind] = row[kModel] - row[kBlind];
    row[kOverSwapped] = row[kModel] - row[kSwapped];
  }
  return scores;
}

double rounded(double percent) {
  return std::round(percent * 1e4) / 1e4;
}

Json to_json(const Estimate& estimate, const char* name) {
  Json json = {{"n", estimate.n}, {name, rounded(estimate.percent)}, {"stderr", nullptr}, {"ci95", nullptr}};
  if (estimate.stderr_percent) json["stderr"] = rounded(*estimate.stderr_percent);
  if (estimate.ci95) json["ci95"] = {rounded((*estimate.ci95)[0]), rounded((*estimate.ci95)[1])};
  return json;
}

/// overall, yes_no, open and groups of one member of the groups' summaries.
Json breakdown(const TaskSummary& summary, const std::function<Json(const GroupSummary&)>& entry) {
  Json json = {{"overall", entry(summary.overall)}, {"yes_no", entry(summary.yes_no)}, {"open", entry(summary.open)}};
  json["groups"] = Json::object();
  for (const GroupSummary& group : summary.groups) json["groups"][group.breakdown][group.value] = entry(group);
  return json;
}

Json breakdown(const TaskSummary& summary, Estimate GroupSummary::*member, const char* name = "accuracy") {
  return breakdown(summary, [&](const GroupSummary& group) { return to_json(group.*member, name); });
}

}  // namespace

std::vector<std::string> majority_answers(std::span<const TaskRow> rows) {
  struct Count {
    int64_t rows = 0;
    std::string written;
  };
  std::map<std::string, std::vector<Count>> kinds;  // references in the order of their first row
  std::map<std::pair<std::string, std::string>, size_t> place;
  for (const TaskRow& row : rows) {
    auto& counts = kinds[row.kind];
    const auto [entry, is_new] = place.try_emplace({row.kind, normalised_answer(row.reference)}, counts.size());
    if (is_new) counts.push_back({0, std::string(stripped(row.reference))});
    ++counts[entry->second].rows;
  }
  std::map<std::string, std::string> commonest;
  for (const auto& [kind, counts] : kinds) {
    const auto most = std::max_element(counts.begin(), counts.end(), [](const Count& a, const Count& b) { return a.rows < b.rows; });
    commonest[kind] = most->written;
  }
  std::vector<std::string> answers;
  for (const TaskRow& row : rows) answers.push_back(commonest[row.kind]);
  return answers;
}

std::vector<std::string> clusters_of(std::span<const TaskRow> rows) {
  std::vector<size_t> parent(rows.size());
  std::iota(parent.begin(), parent.end(), size_t{0});
  const auto root = [&](size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  std::unordered_map<std::string_view, size_t> first_with;  // image
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const TaskImage& image : rows[i].images) {
      const size_t a = root(first_with.try_emplace(image.content, i).first->second), b = root(i);
      parent[std::max(a, b)] = std::min(a, b);
    }
  }
  std::vector<std::string> labels;
  for (size_t i = 0; i < rows.size(); ++i) labels.push_back(std::to_string(root(i)));
  return labels;
}

TaskSummary summarise(const Task& task, std::span<const RowAnswers> answers, uint64_t seed) {
  TaskSummary summary;
  const std::vector<Measures> scores = score_rows(task, answers);
  const std::vector<std::string> majority = majority_answers(task.rows);
  std::vector<std::vector<size_t>> members(3);
  std::map<std::pair<std::string, std::string>, std::vector<size_t>> by_group;
  std::set<std::string> images;
  for (size_t i = 0; i < task.rows.size(); ++i) {
    const TaskRow& row = task.rows[i];
    members[0].push_back(i);
    members[is_yes_no(row.reference) ? 1 : 2].push_back(i);
    for (const auto& group : row.groups) by_group[group].push_back(i);
    for (const TaskImage& image : row.images) images.insert(image.content);
    summary.has_blind = summary.has_blind || answers[i].blind.has_value();
    summary.has_swapped = summary.has_swapped || answers[i].swapped.has_value();
  }
  summary.num_images = static_cast<int64_t>(images.size());
  for (const auto& [group, rows] : by_group) {
    summary.groups.push_back({.breakdown = group.first, .value = group.second});
    members.push_back(rows);
  }
  std::vector<GroupSummary*> targets = {&summary.overall, &summary.yes_no, &summary.open};
  for (GroupSummary& group : summary.groups) targets.push_back(&group);
  const std::vector<std::string> clusters = clusters_of(task.rows);
  const auto estimate_rows = [&](std::span<const size_t> rows) {
    std::vector<Measures> chosen;
    std::vector<std::string> labels;
    for (const size_t i : rows) {
      chosen.push_back(scores[i]);
      labels.push_back(clusters[i]);
    }
    return estimate(chosen, labels, seed);
  };
  const auto count = static_cast<int64_t>(targets.size());
  for_each_parallel(count, static_cast<int>(std::thread::hardware_concurrency()), [&](int64_t g) {
    const std::vector<size_t>& rows = members[static_cast<size_t>(g)];
    std::set<std::string> kinds;
    for (const size_t i : rows) kinds.insert(task.rows[i].kind);
    auto estimates = estimate_rows(rows);
    if (summary.has_swapped) {
      std::vector<size_t> swapped = rows;
      std::erase_if(swapped, [&](size_t i) { return !task.rows[i].images.empty() && !answers[i].swapped; });
      if (swapped.size() < rows.size()) {
        const auto of_swapped = estimate_rows(swapped);
        for (const Measure measure : {kSwapped, kOverSwapped}) estimates[measure] = of_swapped[measure];
      }
    }
    GroupSummary& target = *targets[static_cast<size_t>(g)];
    target.model = estimates[kModel];
    target.majority = estimates[kMajority];
    target.blind = estimates[kBlind];
    target.swapped = estimates[kSwapped];
    target.lead_over_majority = estimates[kOverMajority];
    target.lead_over_blind = estimates[kOverBlind];
    target.lead_over_swapped = estimates[kOverSwapped];
    if (kinds.size() == 1) target.majority_answer = majority[rows.front()];
  });
  return summary;
}

Json to_json(const TaskSummary& summary) {
  Json json = {{"exact_match", breakdown(summary, &GroupSummary::model)}};
  Json& baselines = json["baselines"];
  baselines["majority"] = breakdown(summary, [](const GroupSummary& group) {
    Json entry = to_json(group.majority, "accuracy");
    if (!group.majority_answer.empty()) entry["answer"] = group.majority_answer;
    return entry;
  });
  if (summary.has_blind) baselines["blind"] = breakdown(summary, &GroupSummary::blind);
  if (summary.has_swapped) baselines["swapped"] = breakdown(summary, &GroupSummary::swapped);
  Json& differences = baselines["differences"];
  differences["model-majority"] = breakdown(summary, &GroupSummary::lead_over_majority, "difference");
  if (summary.has_blind) differences["model-blind"] = breakdown(summary, &GroupSummary::lead_over_blind, "difference");
  if (summary.has_swapped) differences["model-swapped"] = breakdown(summary, &GroupSummary::lead_over_swapped, "difference");
  return json;
}

std::string predictions_jsonl(const Task& task, std::span<const RowAnswers> answers) {
  const auto names = [](const TaskRow& row) -> Json {
    if (row.images.empty()) return nullptr;
    if (row.images.size() == 1) return row.images.front().name;
    Json list = Json::array();
    for (const TaskImage& image : row.images) list.push_back(image.name);
    return list;
  };
  std::string lines;
  for (size_t i = 0; i < task.rows.size(); ++i) {
    const TaskRow& row = task.rows[i];
    const RowAnswers& given = answers[i];
    Json line = {
        {"id", row.id},     {"task", task.name},          {"image", names(row)},    {"question", row.question},
        {"kind", row.kind}, {"reference", row.reference}, {"answer", given.answer}, {"score", exact_match(given.answer, row.reference)}};
    if (given.blind) {
      line["blind_answer"] = *given.blind;
      line["blind_score"] = exact_match(*given.blind, row.reference);
    }
    if (given.swapped) {
      line["swapped_answer"] = *given.swapped;
      line["swapped_image"] = names(task.rows[*given.swapped_images]);
      line["swapped_score"] = exact_match(*given.swapped, row.reference);
    }
    lines += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  return lines;
}

}  // namespace multimeditron
