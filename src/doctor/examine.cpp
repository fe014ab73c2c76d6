#include "doctor/examine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <numeric>
#include <unordered_map>

#include "base/hash.h"
#include "data/packer.h"
#include "data/parallel.h"
#include "data/sampler.h"
#include "data/words.h"
#include "doctor/language.h"

namespace multimeditron {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kChunk = 32;
constexpr size_t kShownGroups = 50;
constexpr size_t kShownOfGroup = 5;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// `limit` of `count` rows, ascending, each choice equally likely (selection sampling): a function of its arguments.
std::vector<int64_t> draw_rows(int64_t count, std::optional<int64_t> limit, uint64_t seed) {
  std::vector<int64_t> rows;
  if (!limit || *limit >= count) {
    rows.resize(static_cast<size_t>(count));
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }
  for (int64_t row = 0, needed = *limit; needed > 0; ++row) {
    const uint64_t value = mix_seed(seed, static_cast<uint64_t>(row));
    if (static_cast<double>(value >> 11) * 0x1.0p-53 * static_cast<double>(count - row) >= static_cast<double>(needed)) continue;
    rows.push_back(row);
    --needed;
  }
  return rows;
}

/// What is added up of some rows.
struct Sums {
  FindingTallies findings;
  int64_t examined = 0, bad_rows = 0;
  int64_t tokens = 0, learnt_tokens = 0, truncated_rows = 0, lost_tokens = 0, lost_turns = 0, lost_images = 0;
  std::map<std::string, int64_t> roles, languages;
  std::map<int64_t, int64_t> turns, images_a_row;
  std::unordered_map<const ImageBook::Image*, int64_t> images;

  void add(int64_t row, const RowFacts& facts) {
    ++examined;
    bad_rows += facts.is_bad;
    for (const auto& [finding, detail] : facts.findings) findings[static_cast<size_t>(finding)].add(row, detail);
    for (const std::string& role : facts.roles) ++roles[shown_word(role)];
    for (const ImageBook::Image* image : facts.images) ++images[image];
    ++languages[guess_language(facts.text)];
    ++turns[facts.turns];
    ++images_a_row[std::ssize(facts.images)];
    if (facts.lost_tokens > 0) {
      ++truncated_rows;
      lost_tokens += facts.lost_tokens;
      lost_turns += facts.lost_turns;
      lost_images += facts.lost_images;
    }
    if (facts.is_bad) return;
    tokens += facts.length;
    learnt_tokens += facts.learnt_tokens;
  }

  void add(const Sums& other) {
    for (size_t i = 0; i < findings.size(); ++i) findings[i].add(other.findings[i]);
    examined += other.examined;
    bad_rows += other.bad_rows;
    tokens += other.tokens;
    learnt_tokens += other.learnt_tokens;
    truncated_rows += other.truncated_rows;
    lost_tokens += other.lost_tokens;
    lost_turns += other.lost_turns;
    lost_images += other.lost_images;
    for (const auto& [key, count] : other.roles) roles[key] += count;
    for (const auto& [key, count] : other.languages) languages[key] += count;
    for (const auto& [key, count] : other.turns) turns[key] += count;
    for (const auto& [key, count] : other.images_a_row) images_a_row[key] += count;
    for (const auto& [image, count] : other.images) images[image] += count;
  }
};

std::vector<Distribution::Bin> bins_between(const std::vector<int64_t>& edges, const std::vector<int64_t>& values) {
  std::vector<Distribution::Bin> bins;
  for (size_t i = 0; i + 1 < edges.size(); ++i) bins.push_back({edges[i], edges[i + 1], 0});
  for (const int64_t value : values) {
    const auto bin = std::upper_bound(edges.begin(), edges.end() - 1, value) - edges.begin();
    if (bin > 0) ++bins[static_cast<size_t>(bin - 1)].count;
  }
  return bins;
}

std::vector<std::pair<std::string, int64_t>> aspect_ratios(const std::vector<std::pair<int64_t, int64_t>>& sizes) {
  const std::vector<std::pair<std::string, double>> steps = {
      {"1 to 1.1", 1.1}, {"to 1.4", 1.4}, {"to 1.8", 1.8}, {"to 2.5", 2.5}, {"to 4", 4.0}};
  std::vector<std::pair<std::string, int64_t>> counts;
  for (const auto& [name, ratio] : steps) counts.emplace_back(name, 0);
  counts.emplace_back("above 4", 0);
  for (const auto& [width, height] : sizes) {
    const double ratio = static_cast<double>(std::max(width, height)) / static_cast<double>(std::max<int64_t>(std::min(width, height), 1));
    size_t step = 0;
    while (step < steps.size() && ratio > steps[step].second) ++step;
    ++counts[step].second;
  }
  return counts;
}

ImageTotals totals_of(const std::unordered_map<const ImageBook::Image*, int64_t>& images) {
  ImageTotals totals;
  std::vector<std::pair<int64_t, int64_t>> sizes;
  std::vector<int64_t> shorter;
  std::map<std::string, int64_t> by_size;
  for (const auto& [image, uses] : images) {
    const ImageFacts& facts = image->facts;
    totals.uses += uses;
    ++totals.different;
    totals.reused += uses > 1;
    totals.bytes += facts.bytes;
    totals.sixteen_bit_grey += facts.is_sixteen_bit_grey;
    ++totals.formats[facts.format];
    ++by_size[fmt::format("{} x {}", facts.width, facts.height)];
    sizes.emplace_back(facts.width, facts.height);
    shorter.push_back(std::min(facts.width, facts.height));
  }
  totals.sizes.assign(by_size.begin(), by_size.end());
  std::stable_sort(totals.sizes.begin(), totals.sizes.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (totals.sizes.size() > 12) totals.sizes.resize(12);
  totals.shorter_sides = bins_between({0, 32, 64, 128, 224, 336, 512, 1024, 2048, INT64_MAX}, shorter);
  totals.aspect_ratios = aspect_ratios(sizes);
  totals.pixels_of_shorter_side = distribution_of(std::move(shorter));
  return totals;
}

/// Tells how far it is, at most ten times a second.
class ProgressTeller {
 public:
  ProgressTeller(const ExamineOptions& options, const std::string& name, int64_t total) : options_(options), name_(name), total_(total) {
    if (options_.on_progress) options_.on_progress(name_, 0, total_);  // the clock starts
  }
  void add(int64_t count) {
    const int64_t done = done_ += count;
    if (!options_.on_progress) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || (done < total_ && seconds_since(told_) < 0.1)) return;
    told_ = Clock::now();
    options_.on_progress(name_, std::max(done, said_), total_);
    said_ = std::max(done, said_);
  }

 private:
  const ExamineOptions& options_;
  const std::string& name_;
  int64_t total_;
  std::atomic<int64_t> done_ = 0;
  std::mutex mutex_;
  Clock::time_point told_{};
  int64_t said_ = 0;
};

struct HashedRow {
  uint64_t content;
  RowPlace place;
};

/// The share of the packs' room that is used, with packs made as in the first epoch of training.
void measure_packing(const DataSetToExamine& set, std::vector<int64_t> lengths, DataSetReport& report) {
  if (set.max_length <= 0 || !report.counts_tokens || lengths.empty()) return;
  std::vector<int64_t> order = numpy_permutation(static_cast<uint64_t>(set.seed), std::ssize(lengths));
  std::erase_if(order, [&](int64_t row) {
    const int64_t length = lengths[static_cast<size_t>(row)];
    return length <= 0 || length > set.max_length;
  });
  int64_t tokens = 0;
  for (const int64_t row : order) tokens += lengths[static_cast<size_t>(row)];
  report.max_length = set.max_length;
  report.packs = std::ssize(pack_samples(order, lengths, set.max_length, static_cast<uint64_t>(set.seed)));
  if (report.packs > 0)
    report.packing_efficiency = static_cast<double>(tokens) / (static_cast<double>(report.packs) * static_cast<double>(set.max_length));
}

/// `hashes`: of the usable rows.
Duplicates find_duplicates(std::vector<HashedRow> hashes, const ImageBook& book) {
  Duplicates result;
  std::sort(hashes.begin(), hashes.end(),
            [](const HashedRow& a, const HashedRow& b) { return a.content != b.content ? a.content < b.content : a.place < b.place; });
  for (auto first = hashes.begin(); first != hashes.end();) {
    const auto last = std::find_if(first, hashes.end(), [&](const HashedRow& each) { return each.content != first->content; });
    if (const int64_t count = last - first; count > 1) {
      ++result.groups;
      result.rows += count - 1;
      DuplicateGroup group{count, {}, 0};
      for (auto each = first; each != last && group.first.size() < kShownOfGroup; ++each) group.first.push_back(each->place);
      result.largest.push_back(std::move(group));
    }
    first = last;
  }
  std::vector<const ImageBook::Image*> images = book.images();
  std::stable_sort(images.begin(), images.end(), [](const auto* a, const auto* b) { return a->content < b->content; });
  for (auto image = images.begin(); image != images.end();) {
    DuplicateGroup group{0, {}, (*image)->content};
    for (; image != images.end() && (*image)->content == group.image; ++image) {  // in several ways of decoding
      const auto known = static_cast<ptrdiff_t>(std::min<int64_t>((*image)->uses, std::ssize((*image)->first)));
      group.count += (*image)->uses;
      group.first.insert(group.first.end(), (*image)->first.begin(), (*image)->first.begin() + known);
    }
    // A row may show an image twice.
    std::sort(group.first.begin(), group.first.end());
    group.first.erase(std::unique(group.first.begin(), group.first.end()), group.first.end());
    if (group.first.size() > ImageBook::kFirst) group.first.resize(ImageBook::kFirst);
    if (group.first.size() < 2) continue;
    ++result.images;
    result.most_shown.push_back(std::move(group));
  }
  for (auto* groups : {&result.largest, &result.most_shown}) {
    std::sort(groups->begin(), groups->end(), [](const DuplicateGroup& a, const DuplicateGroup& b) {
      return a.count != b.count ? a.count > b.count : a.first.front() < b.first.front();
    });
    if (groups->size() > kShownGroups) groups->resize(kShownGroups);
  }
  return result;
}

class Examiner {
 public:
  Examiner(std::vector<DataSetToExamine>& sets, const ExamineOptions& options) : sets_(sets), options_(options) {
    if (std::any_of(sets.begin(), sets.end(), [](const DataSetToExamine& set) { return set.is_test; })) check_.emplace();
    ImageBook::OnNew compare;
    if (check_) compare = [this](const ImageBook::Image& image, const Miniature& small) { check_->compare_image(image, small); };
    book_ = std::make_unique<ImageBook>(false, compare);
  }

  Examination run() {
    const Clock::time_point start = Clock::now();
    Examination result;
    result.data_sets.resize(sets_.size());
    for (size_t i = 0; i < sets_.size(); ++i)
      if (sets_[i].is_test) result.data_sets[i] = examine_set(i);
    if (check_) check_->finish();
    for (size_t i = 0; i < sets_.size(); ++i)
      if (!sets_[i].is_test) result.data_sets[i] = examine_set(i);
    result.duplicates = find_duplicates(std::move(hashes_), *book_);
    if (check_) result.contamination = check_->result();
    result.is_stopped = is_stopped();
    result.seconds = seconds_since(start);
    return result;
  }

 private:
  bool is_stopped() const { return options_.is_stopped && options_.is_stopped(); }

  DataSetReport examine_set(size_t number) {
    const DataSetToExamine& set = sets_[number];
    const Clock::time_point start = Clock::now();
    const std::vector<int64_t> rows = draw_rows(set.dataset->size(), options_.limit, options_.seed);
    const RowExaminer examiner(*set.dataset, static_cast<uint32_t>(number), set.rules, set.is_test ? check_->test_images() : *book_);
    std::vector<int64_t> lengths(rows.size(), 0);  // of usable rows
    if (!set.is_test) hashes_.reserve(hashes_.size() + rows.size());
    Sums sums;
    std::mutex mutex;
    ProgressTeller progress(options_, set.name, std::ssize(rows));
    for_each_parallel((std::ssize(rows) + kChunk - 1) / kChunk, options_.num_threads, [&](int64_t chunk) {
      if (is_stopped()) return;
      Sums part;
      std::vector<HashedRow> hashes;
      const int64_t begin = chunk * kChunk, end = std::min(begin + kChunk, std::ssize(rows));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = rows[static_cast<size_t>(i)];
        const RowPlace place{static_cast<uint32_t>(number), row};
        const RowFacts facts = examiner.examine(row);
        part.add(row, facts);
        if (!facts.is_bad) lengths[static_cast<size_t>(i)] = facts.length;
        if (!set.is_test && !facts.is_bad) hashes.push_back({facts.content, place});
        if (set.is_test) {
          check_->add(place, facts);
        } else if (check_) {
          check_->compare_row(place, facts);
        }
      }
      progress.add(end - begin);
      const std::lock_guard lock(mutex);
      sums.add(part);
      hashes_.insert(hashes_.end(), hashes.begin(), hashes.end());
    });

    DataSetReport report{
        .name = set.name, .recipe = set.recipe, .is_test = set.is_test, .rows = set.dataset->size(), .examined = sums.examined};
    report.columns = columns_of(*set.dataset);
    report.findings = std::move(sums.findings);
    report.bad_rows = sums.bad_rows;
    report.allowed_bad_rows = std::max<int64_t>(10, static_cast<int64_t>(set.max_bad_samples * static_cast<double>(sums.examined)));
    report.counts_tokens = set.rules.tokenizer != nullptr && set.rules.use == RowUse::kSamples;
    report.tokens = sums.tokens;
    report.learnt_tokens = sums.learnt_tokens;
    report.truncated_rows = sums.truncated_rows;
    report.lost_tokens = sums.lost_tokens;
    report.lost_turns = sums.lost_turns;
    report.lost_images = sums.lost_images;
    report.max_sequence_length = set.rules.prompt.max_sequence_length;
    report.roles = std::move(sums.roles);
    report.languages = std::move(sums.languages);
    report.turns = std::move(sums.turns);
    report.images_a_row = std::move(sums.images_a_row);
    report.images = totals_of(sums.images);
    measure_packing(set, lengths, report);
    std::erase(lengths, 0);
    report.lengths = distribution_of(std::move(lengths));
    report.seconds = seconds_since(start);
    return report;
  }

  std::vector<DataSetToExamine>& sets_;
  const ExamineOptions& options_;
  std::optional<ContaminationCheck> check_;
  std::unique_ptr<ImageBook> book_;
  std::vector<HashedRow> hashes_;
};

}  // namespace

Distribution distribution_of(std::vector<int64_t> values) {
  constexpr int64_t kBins = 30;
  Distribution result;
  result.count = std::ssize(values);
  if (values.empty()) return result;
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double share) { return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))]; };
  result.min = values.front();
  result.p5 = quantile(0.05);
  result.median = quantile(0.5);
  result.p95 = quantile(0.95);
  result.p99 = quantile(0.99);
  result.max = values.back();
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  // A width that people read easily; a few far values do not squeeze the rest into one bin.
  const int64_t most = std::min(result.max, 2 * result.p99);
  int64_t width = 1;
  for (int64_t step = 1; width * kBins <= most; step *= 10)
    for (const int64_t factor : {1, 2, 5})
      if (width * kBins <= most) width = factor * step;
  const int64_t first = result.min / width;
  std::vector<int64_t> edges;
  for (int64_t i = first; i <= most / width; ++i) edges.push_back(i * width);
  edges.push_back(INT64_MAX);
  result.bins = bins_between(edges, values);
  if (result.max < (most / width + 1) * width) result.bins.back().to = (most / width + 1) * width;
  return result;
}

Examination examine(std::vector<DataSetToExamine>& data_sets, const ExamineOptions& options) {
  return Examiner(data_sets, options).run();
}

}  // namespace multimeditron
