#include "doctor/page.h"

#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "base/hash.h"
#include "base/process.h"
#include "data/image_loader.h"
#include "doctor/characters.h"
#include "doctor/summary.h"
#include "report/page.h"
#include "report/paths.h"
#include "report/thumbnails.h"

namespace multimeditron {
namespace {

constexpr size_t kPictures = 400;    // on one page: some 3 MB
constexpr size_t kPairs = 100;       // with pictures; the others are listed
constexpr size_t kSamples = 5;       // of a finding
constexpr size_t kCharacters = 600;  // of a turn
constexpr int64_t kSide = 160;
constexpr int kQuality = 70;

class SamplesOfPage {
 public:
  explicit SamplesOfPage(std::span<const DataSetToExamine> sets) : sets_(sets) {}

  /// The place of an image in pictures(): one of row `place` with this content; -1 where there is none any more, nothing where there are
  /// enough.
  Json picture(RowPlace place, uint64_t content) {
    if (const auto known = by_content_.find(content); known != by_content_.end()) return known->second;
    if (pictures_.size() >= kPictures) return nullptr;
    for_each_image(place, [&](uint64_t found, const std::string& bytes, const DecodeOptions& options) {
      if (found == content) add(content, bytes, options);
    });
    return by_content_.emplace(content, -1).first->second;
  }

  /// {turns: [{role, content}], images: [places in pictures()]}
  Json sample(RowPlace place) {
    Json shown = {{"turns", Json::array()}, {"images", Json::array()}};
    try {
      const Row row = set(place).dataset->row(place.row);
      const auto turn = [&](const std::string& role, const std::string& content) {
        shown["turns"].push_back({{"role", shortened(role, 40)}, {"content", shortened(content, kCharacters)}});
      };
      if (row.text) turn("text", *row.text);
      for (const Message& message : row.conversations) turn(message.role, message.content);
    } catch (const UserError&) {
      return nullptr;
    }
    for_each_image(place, [&](uint64_t content, const std::string& bytes, const DecodeOptions& options) {
      if (!by_content_.contains(content) && pictures_.size() < kPictures) add(content, bytes, options);
      if (const auto known = by_content_.find(content); known != by_content_.end()) shown["images"].push_back(known->second);
    });
    return shown;
  }

  const std::vector<std::string>& pictures() const { return pictures_; }

 private:
  const DataSetToExamine& set(RowPlace place) const { return sets_[place.data_set]; }

  template <typename Body>
  void for_each_image(RowPlace place, Body body) {
    try {
      const Row row = set(place).dataset->row(place.row);
      for (const Attachment& attachment : row.modalities) {
        try {
          const RowRules& rules = set(place).rules;
          const std::string bytes = load_bytes(attachment, rules, set(place).dataset->folder(place.row));
          body(content_hash(bytes), bytes, decode_options(attachment.type, rules.loaders, nullptr));
        } catch (const UserError&) {
          // One that is missing or cannot be decoded is told of elsewhere.
        }
      }
    } catch (const UserError&) {
    }
  }

  /// As the loader of the row that comes first shows it: the page has one picture of a file.
  void add(uint64_t content, const std::string& bytes, const DecodeOptions& options) {
    int64_t number = -1;
    try {
      pictures_.push_back(image_uri(decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())), options), kSide, kQuality));
      number = std::ssize(pictures_) - 1;
    } catch (const UserError&) {
    }
    by_content_.emplace(content, number);
  }

  std::span<const DataSetToExamine> sets_;
  std::map<uint64_t, int64_t> by_content_;
  std::vector<std::string> pictures_;
};

}  // namespace

std::string check_page(Json report, const std::string& title, const Examination& examination, std::span<const DataSetToExamine> data_sets,
                       const CheckPageOptions& options) {
  PathShortener::here().apply(report);
  report["title"] = title;
  report["date"] = today_iso_date();
  SamplesOfPage samples(data_sets);
  if (options.has_images && examination.contamination) {
    const auto& pairs = examination.contamination->images;
    Json& listed = report["contamination"]["images"];
    for (size_t i = 0; i < std::min({listed.size(), pairs.size(), kPairs}); ++i) {
      listed[i]["test_image"] = samples.picture(pairs[i].test, pairs[i].test_content);
      listed[i]["train_image"] = samples.picture(pairs[i].train, pairs[i].train_content);
    }
  }
  if (options.has_images) {
    Json& listed = report["duplicates"]["most_shown"];
    const auto& groups = examination.duplicates.most_shown;
    for (size_t i = 0; i < std::min(listed.size(), groups.size()); ++i)
      listed[i]["image"] = samples.picture(groups[i].first.front(), groups[i].image);
  }
  if (options.has_samples) {
    for (size_t number = 0; number < examination.data_sets.size(); ++number) {
      for (Json& finding : report["data_sets"][number]["findings"]) {
        for (size_t i = 0; i < std::min(kSamples, finding["first"].size()); ++i) {
          Json& place = finding["first"][i];
          place["sample"] = samples.sample({static_cast<uint32_t>(number), place["row"].get<int64_t>()});
        }
      }
    }
    Json& repeated = report["duplicates"]["largest"];
    for (size_t i = 0; i < std::min(repeated.size(), 2 * kSamples); ++i)
      repeated[i]["sample"] = samples.sample(examination.duplicates.largest[i].first.front());
    if (examination.contamination) {
      const auto add = [&](Json& listed, const auto& pairs) {
        for (size_t i = 0; i < std::min({listed.size(), pairs.size(), kPairs}); ++i) {
          listed[i]["test_sample"] = samples.sample(pairs[i].test);
          listed[i]["train_sample"] = samples.sample(pairs[i].train);
        }
      };
      add(report["contamination"]["images"], examination.contamination->images);
      add(report["contamination"]["texts"], examination.contamination->texts);
    }
  }
  return render_check_page(report, samples.pictures());
}

}  // namespace multimeditron
