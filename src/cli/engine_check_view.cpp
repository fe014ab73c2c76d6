#include "cli/engine_check_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "tracking/line.h"

namespace multimeditron {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;
constexpr size_t kPlaces = 3;

std::string share(int64_t part, int64_t whole) {
  return fmt::format("{:.1f} %", whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

/// "1 row", "2 rows"
std::string counted(int64_t count, const char* noun) {
  return fmt::format("{} {}{}", format_count(count), noun, count == 1 ? "" : "s");
}

template <typename Counts>
std::string listed(const Counts& counts, size_t most = 6) {
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < std::min(most, sorted.size()); ++i)
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", sorted[i].first, format_count(sorted[i].second));
  if (sorted.size() > most) text += fmt::format(" and {} more kinds", sorted.size() - most);
  return text;
}

std::string places(const FindingTally& tally, uint32_t number, const NameOfPlace& name_of) {
  std::string text;
  for (size_t i = 0; i < std::min(kPlaces, tally.first.size()); ++i) {
    const FindingTally::Place& place = tally.first[i];
    text += "\n" + printable(name_of({number, place.row}));
    if (!place.detail.empty()) text += fmt::format(" ({})", printable(place.detail));
  }
  if (tally.rows > static_cast<int64_t>(kPlaces)) text += "\n...";
  return text;
}

void add_findings(const DataSetReport& report, uint32_t number, const NameOfPlace& name_of, Rows& rows) {
  for (size_t i = 0; i < kNumFindings; ++i) {
    const FindingTally& tally = report.findings[i];
    if (tally.rows == 0) continue;
    const FindingInfo& about = info(static_cast<Finding>(i));
    rows.emplace_back(about.is_bad ? "bad" : "doubtful",
                      fmt::format("{} {}{}\nfix: {}", counted(tally.rows, "row"), about.title, places(tally, number, name_of), about.fix));
  }
}

void add_lengths(const DataSetReport& report, Rows& rows) {
  const Distribution& lengths = report.lengths;
  if (lengths.count == 0) return;
  rows.emplace_back("lengths", fmt::format("{} to {} {}, half of the rows up to {}, 95 % up to {}", format_count(lengths.min),
                                           format_count(lengths.max), report.counts_tokens ? "tokens" : "characters (no tokenizer)",
                                           format_count(lengths.median), format_count(lengths.p95)));
  if (!report.counts_tokens) return;
  rows.emplace_back("learnt", fmt::format("{} of {} tokens ({})", format_count(report.learnt_tokens), format_count(report.tokens),
                                          share(report.learnt_tokens, report.tokens)));
  if (report.max_sequence_length && report.truncated_rows > 0) {
    rows.emplace_back("truncation", fmt::format("at {} tokens: {} lose {}, {}, {}", format_count(*report.max_sequence_length),
                                                counted(report.truncated_rows, "row"), counted(report.lost_tokens, "token"),
                                                counted(report.lost_turns, "turn"), counted(report.lost_images, "image")));
  }
  if (report.max_length && report.packs > 0) {
    rows.emplace_back("packing", fmt::format("{} of {} tokens, {:.1f} % full", counted(report.packs, "pack"),
                                             format_count(*report.max_length), 100 * report.packing_efficiency));
  }
}

void add_images(const DataSetReport& report, Rows& rows) {
  const ImageTotals& images = report.images;
  if (images.different == 0) return;
  const Distribution& side = images.pixels_of_shorter_side;
  std::string text = fmt::format("{}, shown {} times; {}; shorter side {} to {} pixels, half of them up to {}",
                                 counted(images.different, "different image"), format_count(images.uses), listed(images.formats),
                                 format_count(side.min), format_count(side.max), format_count(side.median));
  if (images.sixteen_bit_grey > 0) text += fmt::format("; {} of 16-bit grey", format_count(images.sixteen_bit_grey));
  rows.emplace_back("images", text);
}

LineStyle style_of(bool colour, int width) {
  return {.width = static_cast<size_t>(width), .colour = colour, .unicode = false};
}

}  // namespace

std::string view_of(const DataSetReport& report, uint32_t number, const NameOfPlace& name_of, bool colour, int width) {
  Rows rows;
  const std::string looked = report.is_complete()
                                 ? format_count(report.rows)
                                 : fmt::format("{} of {} looked at", format_count(report.examined), format_count(report.rows));
  rows.emplace_back("rows", fmt::format("{}, {} bad ({}), up to {} may be", looked, format_count(report.bad_rows),
                                        share(report.bad_rows, report.examined), format_count(report.allowed_bad_rows)));
  add_findings(report, number, name_of, rows);
  std::string unused;
  for (const Column& column : report.columns)
    if (!column.is_used) unused += fmt::format("{}{} ({})", unused.empty() ? "" : ", ", printable(column.name), printable(column.type));
  if (!unused.empty()) rows.emplace_back("not used", "the columns " + unused);
  add_lengths(report, rows);
  if (!report.roles.empty()) rows.emplace_back("turns", listed(report.roles));
  if (!report.languages.empty()) rows.emplace_back("language", listed(report.languages) + " (guessed)");
  add_images(report, rows);
  const double seconds = std::max(report.seconds, 1e-3);
  rows.emplace_back("speed", fmt::format("{:.0f} rows/s, {:.0f} images/s", static_cast<double>(report.examined) / seconds,
                                         static_cast<double>(report.images.different) / seconds));
  return table(printable(report.name) + (report.is_test ? " (test)" : ""), rows, style_of(colour, width));
}

std::string view_of_duplicates(const Examination& examination, const NameOfPlace& name_of, bool colour, int width) {
  const Duplicates& found = examination.duplicates;
  Rows rows;
  if (found.rows > 0) {
    std::string text = fmt::format("{} repeat an earlier one, text and images", counted(found.rows, "row"));
    for (size_t i = 0; i < std::min(kPlaces, found.largest.size()); ++i)
      text += fmt::format("\n{} times: {}; {}", found.largest[i].count, printable(name_of(found.largest[i].first[0])),
                          printable(name_of(found.largest[i].first[1])));
    if (found.largest.size() > kPlaces) text += "\n...";
    rows.emplace_back("rows", text);
  }
  if (found.images > 0)
    rows.emplace_back("images", fmt::format("{} in several rows, one in up to {}", counted(found.images, "image"),
                                            format_count(found.most_shown.front().count)));
  return rows.empty() ? "" : table("duplicates", rows, style_of(colour, width));
}

std::string view_of_contamination(const Examination& examination, const NameOfPlace& name_of, bool colour, int width) {
  if (!examination.contamination) return "";
  const Contamination& found = *examination.contamination;
  Rows rows;
  std::string images =
      fmt::format("{} of {} test images are in training: {} the same, {} nearly", format_count(found.exact_images + found.near_images),
                  format_count(found.test_images), format_count(found.exact_images), format_count(found.near_images));
  for (size_t i = 0; i < std::min(kPlaces, found.images.size()); ++i) {
    const Contamination::ImagePair& pair = found.images[i];
    images += fmt::format("\n{} is in {}", printable(name_of(pair.test)), printable(name_of(pair.train)));
    if (!pair.is_exact) images += fmt::format(" ({} bits apart, correlation {:.3f})", pair.distance, pair.correlation);
  }
  if (found.images.size() > kPlaces) images += "\n...";
  rows.emplace_back("images", images);
  std::string texts = fmt::format("{} of {} test rows share their text with a training row", format_count(found.rows_by_text),
                                  format_count(found.test_rows));
  for (size_t i = 0; i < std::min(kPlaces, found.texts.size()); ++i) {
    const Contamination::TextPair& pair = found.texts[i];
    texts += fmt::format("\n{} is in {} ({:.0f} %{})", printable(name_of(pair.test)), printable(name_of(pair.train)), 100 * pair.share,
                         pair.has_same_image ? ", with the same image" : "");
  }
  if (found.texts.size() > kPlaces) texts += "\n...";
  rows.emplace_back("texts", texts);
  if (found.rows_by_image > 0)
    rows.emplace_back("in all", fmt::format("{} show an image of training, {} of them with the text of the same training row",
                                            counted(found.rows_by_image, "test row"), format_count(found.rows_by_both)));
  return table("test data in training", rows, style_of(colour, width));
}

}  // namespace multimeditron
