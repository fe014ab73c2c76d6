#include "doctor/summary.h"

#include <algorithm>

namespace multimeditron {
namespace {

Json to_json(const std::vector<Distribution::Bin>& bins) {
  Json json = Json::array();
  for (const Distribution::Bin& bin : bins)
    json.push_back({{"from", bin.from}, {"to", bin.to == INT64_MAX ? Json() : Json(bin.to)}, {"count", bin.count}});
  return json;
}

Json to_json(const Distribution& values) {
  if (values.count == 0) return {{"count", 0}};
  return {{"count", values.count}, {"min", values.min}, {"p5", values.p5},   {"median", values.median},          {"mean", values.mean},
          {"p95", values.p95},     {"p99", values.p99}, {"max", values.max}, {"histogram", to_json(values.bins)}};
}

template <typename Counts>
Json counts_to_json(const Counts& counts) {
  Json json = Json::object();
  for (const auto& [key, count] : counts) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(key)>>) {
      json[std::to_string(key)] = count;
    } else {
      json[key] = count;
    }
  }
  return json;
}

class Writer {
 public:
  Writer(const Examination& examination, const NameOfPlace& name_of) : examination_(examination), name_of_(name_of) {}

  Json place(RowPlace place) const {
    return {{"data_set", examination_.data_sets[place.data_set].name}, {"row", place.row}, {"place", name_of_(place)}};
  }

  Json groups(const std::vector<DuplicateGroup>& groups) const {
    Json json = Json::array();
    for (const DuplicateGroup& group : groups) {
      Json first = Json::array();
      for (const RowPlace& each : group.first) first.push_back(place(each));
      json.push_back({{"count", group.count}, {"first", std::move(first)}});
    }
    return json;
  }

  Json findings(size_t number) const {
    const DataSetReport& report = examination_.data_sets[number];
    Json json = Json::array();
    for (size_t i = 0; i < kNumFindings; ++i) {
      const FindingTally& tally = report.findings[i];
      if (tally.rows == 0) continue;
      const FindingInfo& about = info(static_cast<Finding>(i));
      Json first = Json::array();
      for (const FindingTally::Place& each : tally.first)
        first.push_back({{"row", each.row}, {"place", name_of_({static_cast<uint32_t>(number), each.row})}, {"detail", each.detail}});
      json.push_back({{"id", about.id},
                      {"bad", about.is_bad},
                      {"rows", tally.rows},
                      {"title", about.title},
                      {"fix", about.fix},
                      {"first", std::move(first)}});
    }
    return json;
  }

  Json data_set(size_t number) const {
    const DataSetReport& report = examination_.data_sets[number];
    Json json = {
        {"name", report.name},         {"test", report.is_test},      {"ok", !report.has_too_many_bad()},           {"rows", report.rows},
        {"examined", report.examined}, {"bad_rows", report.bad_rows}, {"allowed_bad_rows", report.allowed_bad_rows}};
    if (!report.recipe.empty()) json["recipe"] = report.recipe;
    json["columns"] = Json::array();
    for (const Column& column : report.columns)
      json["columns"].push_back({{"name", column.name}, {"type", column.type}, {"used", column.is_used}});
    json["findings"] = findings(number);
    json["lengths"] = to_json(report.lengths);
    json["lengths"]["unit"] = report.counts_tokens ? "tokens" : "characters";
    if (report.counts_tokens) {
      json["tokens"] = report.tokens;
      json["learnt_tokens"] = report.learnt_tokens;
      json["truncation"] = {{"max_sequence_length", report.max_sequence_length ? Json(*report.max_sequence_length) : Json()},
                            {"rows", report.truncated_rows},
                            {"tokens", report.lost_tokens},
                            {"turns", report.lost_turns},
                            {"images", report.lost_images}};
      if (report.max_length)
        json["packing"] = {{"max_length", *report.max_length}, {"packs", report.packs}, {"efficiency", report.packing_efficiency}};
    }
    json["roles"] = counts_to_json(report.roles);
    json["turns"] = counts_to_json(report.turns);
    json["images_a_row"] = counts_to_json(report.images_a_row);
    json["languages"] = counts_to_json(report.languages);
    const ImageTotals& images = report.images;
    json["images"] = {{"uses", images.uses},
                      {"different", images.different},
                      {"reused", images.reused},
                      {"bytes", images.bytes},
                      {"sixteen_bit_grey", images.sixteen_bit_grey},
                      {"formats", counts_to_json(images.formats)},
                      {"sizes", counts_to_json(images.sizes)},
                      {"shorter_side", to_json(images.pixels_of_shorter_side)},
                      {"aspect_ratios", counts_to_json(images.aspect_ratios)}};
    if (images.different > 0) json["images"]["shorter_side"]["histogram"] = to_json(images.shorter_sides);
    json["seconds"] = report.seconds;
    return json;
  }

  Json contamination() const {
    const Contamination& found = *examination_.contamination;
    Json images = Json::array(), texts = Json::array();
    for (const Contamination::ImagePair& pair : found.images) {
      if (images.size() == kListedPairs) break;
      images.push_back({{"test", place(pair.test)},
                        {"train", place(pair.train)},
                        {"exact", pair.is_exact},
                        {"distance", pair.distance},
                        {"correlation", pair.correlation}});
    }
    for (const Contamination::TextPair& pair : found.texts) {
      if (texts.size() == kListedPairs) break;
      texts.push_back(
          {{"test", place(pair.test)}, {"train", place(pair.train)}, {"share", pair.share}, {"same_image", pair.has_same_image}});
    }
    return {{"test_rows", found.test_rows},       {"rows_by_image", found.rows_by_image},       {"rows_by_text", found.rows_by_text},
            {"rows_by_both", found.rows_by_both}, {"comparable_texts", found.comparable_texts}, {"test_images", found.test_images},
            {"exact_images", found.exact_images}, {"near_images", found.near_images},           {"images", std::move(images)},
            {"texts", std::move(texts)}};
  }

  Json all() const {
    Json json = {{"data_sets", Json::array()}};
    for (size_t i = 0; i < examination_.data_sets.size(); ++i) json["data_sets"].push_back(data_set(i));
    const Duplicates& duplicates = examination_.duplicates;
    json["duplicates"] = {{"rows", duplicates.rows},
                          {"repeated_rows", duplicates.groups},
                          {"largest", groups(duplicates.largest)},
                          {"shown_images", duplicates.images},
                          {"most_shown", groups(duplicates.most_shown)}};
    if (examination_.contamination) json["contamination"] = contamination();
    json["complete"] = !examination_.is_stopped;
    json["seconds"] = examination_.seconds;
    return json;
  }

 private:
  const Examination& examination_;
  const NameOfPlace& name_of_;
};

}  // namespace

Json to_json(const Examination& examination, const NameOfPlace& name_of) {
  return Writer(examination, name_of).all();
}

bool has_failed(const Examination& examination, bool strict) {
  if (strict && examination.contamination && !examination.contamination->is_clean()) return true;
  return std::any_of(examination.data_sets.begin(), examination.data_sets.end(),
                     [](const DataSetReport& report) { return report.has_too_many_bad(); });
}

}  // namespace multimeditron
