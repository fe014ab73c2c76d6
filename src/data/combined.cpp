#include "data/combined.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>

#include "base/hash.h"
#include "base/log.h"
#include "base/suggest.h"
#include "data/columns.h"
#include "data/row_index.h"
#include "data/words.h"

namespace multimeditron {
namespace {

class FirstRows : public Dataset, public HasColumns {
 public:
  FirstRows(std::unique_ptr<Dataset> dataset, int64_t size) : dataset_(std::move(dataset)), size_(size) {}
  int64_t size() const override { return size_; }
  Row row(int64_t index) const override { return dataset_->row(index); }
  Row text_row(int64_t index) const override { return dataset_->text_row(index); }
  void will_need(std::span<const int64_t> rows) const override { dataset_->will_need(rows); }
  std::string fingerprint() const override { return fmt::format("{}[:{}]", dataset_->fingerprint(), size_); }
  std::string place(int64_t index) const override { return dataset_->place(index); }
  std::filesystem::path folder(int64_t index) const override { return dataset_->folder(index); }
  std::vector<Column> columns() const override { return columns_of(*dataset_); }

 private:
  std::unique_ptr<Dataset> dataset_;
  int64_t size_;
};

class SelectedRows : public Dataset, public HasColumns {
 public:
  SelectedRows(std::unique_ptr<Dataset> dataset, std::vector<int64_t> rows) : dataset_(std::move(dataset)), rows_(std::move(rows)) {
    fingerprint_ = dataset_->fingerprint() + sha256(std::as_bytes(std::span(rows_)));
  }
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  Row row(int64_t index) const override { return dataset_->row(at(index)); }
  Row text_row(int64_t index) const override { return dataset_->text_row(at(index)); }
  void will_need(std::span<const int64_t> rows) const override {
    for (const int64_t index : rows) {
      const int64_t row = at(index);
      dataset_->will_need({&row, 1});
    }
  }
  std::string fingerprint() const override { return fingerprint_; }
  std::string place(int64_t index) const override { return dataset_->place(at(index)); }
  std::filesystem::path folder(int64_t index) const override { return dataset_->folder(at(index)); }
  std::vector<Column> columns() const override { return columns_of(*dataset_); }

 private:
  int64_t at(int64_t index) const { return rows_[static_cast<size_t>(index)]; }

  std::unique_ptr<Dataset> dataset_;
  std::vector<int64_t> rows_;
  std::string fingerprint_;
};

class Concatenation : public Dataset, public HasColumns {
 public:
  Concatenation(std::vector<std::unique_ptr<Dataset>> parts, std::vector<double> weights, uint64_t seed)
      : parts_(std::move(parts)), weights_(std::move(weights)), seed_(seed) {
    for (size_t i = 0; i < parts_.size(); ++i) {
      rows_.add_part(parts_[i]->size());
      const double taken = std::round(weights_[i] * static_cast<double>(parts_[i]->size()));
      positions_.add_part(std::max<int64_t>(1, static_cast<int64_t>(taken)));
    }
  }

  int64_t size() const override { return rows_.size(); }
  Row row(int64_t index) const override {
    const auto [part, row] = rows_.find(index);
    return parts_[part]->row(row);
  }
  Row text_row(int64_t index) const override {
    const auto [part, row] = rows_.find(index);
    return parts_[part]->text_row(row);
  }
  void will_need(std::span<const int64_t> rows) const override {
    for (const int64_t index : rows) {
      const auto [part, row] = rows_.find(index);
      const int64_t row_of_part = row;
      parts_[part]->will_need({&row_of_part, 1});
    }
  }
  std::string place(int64_t index) const override {
    const auto [part, row] = rows_.find(index);
    return parts_[part]->place(row);
  }
  std::filesystem::path folder(int64_t index) const override {
    const auto [part, row] = rows_.find(index);
    return parts_[part]->folder(row);
  }
  std::vector<Column> columns() const override { return columns_of(*parts_.front()); }

  /// Without weights that of the parts alone: runs from before weights keep theirs.
  std::string fingerprint() const override {
    const bool has_weights = std::any_of(weights_.begin(), weights_.end(), [](double weight) { return weight != 1; });
    if (parts_.size() == 1 && !has_weights) return parts_[0]->fingerprint();
    std::string all;
    for (size_t i = 0; i < parts_.size(); ++i) {
      all += parts_[i]->fingerprint() + (weights_[i] == 1 ? "" : fmt::format(" x {}", weights_[i])) + "\n";
    }
    return sha256(all);
  }

  int64_t rows_per_epoch() const override { return positions_.size(); }
  int64_t row_of_epoch(int64_t epoch, int64_t position) const override {
    const auto [part, at] = positions_.find(position);
    const int64_t size = parts_[part]->size(), taken = positions_.first_row(part + 1) - positions_.first_row(part);
    if (taken == size) return rows_.first_row(part) + at;
    // Epoch after epoch, drawn orders of the part are walked through, each from its first to its last row.
    const int64_t walked = epoch * taken + at, pass = walked / size;
    const uint64_t key = mix_seed(mix_seed(seed_, part), static_cast<uint64_t>(pass));
    return rows_.first_row(part) + permuted(walked % size, size, key);
  }

 private:
  std::vector<std::unique_ptr<Dataset>> parts_;
  std::vector<double> weights_;
  uint64_t seed_;
  RowIndex rows_, positions_;
};

class WithRoleWarning : public Dataset, public HasColumns {
 public:
  explicit WithRoleWarning(std::unique_ptr<Dataset> dataset) : dataset_(std::move(dataset)) {}
  int64_t size() const override { return dataset_->size(); }
  Row row(int64_t index) const override { return looked_at(dataset_->row(index), index); }
  Row text_row(int64_t index) const override { return looked_at(dataset_->text_row(index), index); }
  void will_need(std::span<const int64_t> rows) const override { dataset_->will_need(rows); }
  std::string fingerprint() const override { return dataset_->fingerprint(); }
  std::string place(int64_t index) const override { return dataset_->place(index); }
  std::filesystem::path folder(int64_t index) const override { return dataset_->folder(index); }
  std::vector<Column> columns() const override { return columns_of(*dataset_); }

 private:
  Row looked_at(Row row, int64_t index) const {
    if (has_warned_) return row;
    for (size_t i = 0; i < row.conversations.size(); ++i) {
      const std::string& role = row.conversations[i].role;
      const std::vector<std::string>& known = known_roles();
      if (std::find(known.begin(), known.end(), role) != known.end() || has_warned_.exchange(true)) continue;
      // Only a word that is nearly a role is shown: anything else may be text of a patient in the wrong column.
      const auto meant = nearest(role, known);
      warn(fmt::format(
          "{}, turn {}: the role {} is none of {}; what this turn says may be learnt, or left out, by the chat template alone{}",
          dataset_->place(index), i + 1, meant ? fmt::format("`{}`", role) : "there", join_or(known),
          meant ? fmt::format(" (did you mean `{}`?)", *meant) : ""));
    }
    return row;
  }

  std::unique_ptr<Dataset> dataset_;
  mutable std::atomic<bool> has_warned_ = false;
};

}  // namespace

std::unique_ptr<Dataset> first_rows(std::unique_ptr<Dataset> dataset, int64_t size) {
  return std::make_unique<FirstRows>(std::move(dataset), size);
}

std::unique_ptr<Dataset> selected_rows(std::unique_ptr<Dataset> dataset, std::vector<int64_t> rows) {
  return std::make_unique<SelectedRows>(std::move(dataset), std::move(rows));
}

std::unique_ptr<Dataset> concatenation(std::vector<std::unique_ptr<Dataset>> parts, std::vector<double> weights, uint64_t seed) {
  return std::make_unique<Concatenation>(std::move(parts), std::move(weights), seed);
}

std::unique_ptr<Dataset> with_role_warning(std::unique_ptr<Dataset> dataset) {
  return std::make_unique<WithRoleWarning>(std::move(dataset));
}

int64_t permuted(int64_t index, int64_t size, uint64_t key) {
  // A Feistel network over the next even power of two; what falls outside goes through again (fewer than four times on average).
  const int half = std::max<int>(1, (static_cast<int>(std::bit_width(static_cast<uint64_t>(size - 1))) + 1) / 2);
  const uint64_t mask = (uint64_t{1} << half) - 1;
  auto value = static_cast<uint64_t>(index);
  do {
    uint64_t left = value >> half, right = value & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const uint64_t next = left ^ (mix_seed(key ^ round, right) & mask);
      left = right;
      right = next;
    }
    value = left << half | right;
  } while (value >= static_cast<uint64_t>(size));
  return static_cast<int64_t>(value);
}

}  // namespace multimeditron
