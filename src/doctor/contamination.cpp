#include "doctor/contamination.h"

#include <algorithm>
#include <set>

namespace multimeditron {

ContaminationCheck::ContaminationCheck() : test_book_(/*keeps_miniatures=*/true) {}

void ContaminationCheck::add(RowPlace place, const RowFacts& facts) {
  TestRow row{place, grams_of(facts.text), facts.images};
  const std::lock_guard lock(mutex_);
  rows_.push_back(std::move(row));
}

void ContaminationCheck::finish() {
  std::sort(rows_.begin(), rows_.end(), [](const TestRow& a, const TestRow& b) { return a.place < b.place; });
  std::vector<TextGrams> texts;
  texts.reserve(rows_.size());
  for (const TestRow& row : rows_) texts.push_back(row.text);
  texts_ = std::make_unique<GramIndex>(texts);
  for (TestRow& row : rows_) row.text.grams = {};  // the index holds them

  std::vector<uint64_t> hashes;
  for (const ImageBook::Image* image : test_book_.images()) {
    if (!image->facts.problem.empty() || image->facts.is_flat) continue;
    image_by_content_.emplace(image->content, images_.size());
    images_.push_back(image);
    hashes.push_back(image->facts.hash);
  }
  hashes_ = std::make_unique<HashIndex>(std::move(hashes));
}

bool ContaminationCheck::is_better(const Match& a, const Match& b) {
  if (a.is_exact != b.is_exact) return a.is_exact;
  if (a.correlation != b.correlation) return a.correlation > b.correlation;
  return a.train->content < b.train->content;
}

void ContaminationCheck::compare_image(const ImageBook::Image& image, const Miniature& miniature) {
  if (image.facts.is_flat || images_.empty()) return;
  std::vector<std::pair<const ImageBook::Image*, Match>> found;
  const auto [same, end] = image_by_content_.equal_range(image.content);
  for (auto each = same; each != end; ++each) found.emplace_back(images_[each->second], Match{&image, true, 0, 1});
  hashes_->near(image.facts.hash, [&](size_t number, int distance) {
    const ImageBook::Image* test = images_[number];
    if (test->content == image.content) return;
    const double similarity = correlation(*test->miniature, miniature);
    if (similarity >= kNearCorrelation) found.emplace_back(test, Match{&image, false, distance, similarity});
  });
  if (found.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const auto& [test, match] : found) {
    matches_[&image].push_back(test);
    const auto [best, is_new] = best_image_.emplace(test, match);
    if (!is_new && is_better(match, best->second)) best->second = match;
  }
}

bool ContaminationCheck::has_same_image(const RowFacts& facts, const TestRow& test) const {
  for (const ImageBook::Image* image : facts.images) {
    const auto found = matches_.find(image);
    if (found == matches_.end()) continue;
    for (const ImageBook::Image* each : test.images)
      if (std::find(found->second.begin(), found->second.end(), each) != found->second.end()) return true;
  }
  return false;
}

void ContaminationCheck::compare_row(RowPlace place, const RowFacts& facts) {
  const TextGrams text = grams_of(facts.text);
  std::vector<std::pair<int64_t, double>> found;
  texts_->overlaps(text, kTextShare, [&](int64_t row, double share) { found.emplace_back(row, share); });
  const size_t num_long = found.size();
  texts_->equals(text, [&](int64_t row) { found.emplace_back(row, 1.0); });
  if (found.empty()) return;
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < found.size(); ++i) {
    const auto& [number, share] = found[i];
    const TestRow& row = rows_[static_cast<size_t>(number)];
    const bool same = has_same_image(facts, row);
    // "What organ is this? Liver." is asked of many images.
    if (i >= num_long && !same && !(facts.images.empty() && row.images.empty())) continue;
    const Contamination::TextPair pair{place, row.place, share, same};
    const auto [best, is_new] = best_text_.emplace(number, pair);
    const auto rank = [](const Contamination::TextPair& each) { return std::pair(each.has_same_image, each.share); };
    if (!is_new && (rank(pair) > rank(best->second) || (rank(pair) == rank(best->second) && pair.train < best->second.train)))
      best->second = pair;
  }
}

Contamination ContaminationCheck::result() const {
  Contamination result{
      .test_rows = std::ssize(rows_), .comparable_texts = texts_->num_comparable(), .test_images = std::ssize(test_book_.images())};
  for (const auto& [test, match] : best_image_) {
    ++(match.is_exact ? result.exact_images : result.near_images);
    result.images.push_back(
        {match.train->first[0], test->first[0], match.train->content, test->content, match.is_exact, match.distance, match.correlation});
  }
  for (size_t i = 0; i < rows_.size(); ++i) {
    const auto is_known = [&](const ImageBook::Image* image) { return best_image_.contains(image); };
    result.rows_by_image += std::any_of(rows_[i].images.begin(), rows_[i].images.end(), is_known);
    const auto text = best_text_.find(static_cast<int64_t>(i));
    if (text == best_text_.end()) continue;
    ++result.rows_by_text;
    result.rows_by_both += text->second.has_same_image;
    result.texts.push_back(text->second);
  }
  std::sort(result.images.begin(), result.images.end(),
            [](const auto& a, const auto& b) { return a.test != b.test ? a.test < b.test : a.train < b.train; });
  return result;
}

}  // namespace multimeditron
