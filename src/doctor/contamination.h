#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "doctor/image_book.h"
#include "doctor/ngrams.h"
#include "doctor/row_examiner.h"

namespace multimeditron {

/// Test rows share a text with training where at least so much of their runs of eight words occurs in one training row.
inline constexpr double kTextShare = 0.5;

/// What of the test sets is among the training data.
struct Contamination {
  /// A test image and the most similar training image, each by the first row that shows it.
  struct ImagePair {
    RowPlace train, test;
    uint64_t train_content = 0, test_content = 0;  ///< which images of these rows
    bool is_exact = false;                         ///< the same bytes
    int distance = 0;                              ///< bits of the perceptual hashes that differ
    double correlation = 0;
  };
  /// A test row and the training row that holds most of its text.
  struct TextPair {
    RowPlace train, test;
    double share = 0;
    bool has_same_image = false;
  };

  int64_t test_rows = 0, comparable_texts = 0;  ///< texts of eight words or more that are not how all of them are put
  int64_t test_images = 0, exact_images = 0, near_images = 0;
  int64_t rows_by_image = 0, rows_by_text = 0, rows_by_both = 0;  ///< test rows; `both`: text and image in the same training row
  std::vector<ImagePair> images;                                  ///< ordered by test row
  std::vector<TextPair> texts;

  bool is_clean() const { return images.empty() && texts.empty(); }
};

/// Test sets, kept in memory as hashes, and what is found of them in training data that passes by. First add() every test row, then
/// finish(), then compare() every training row; add() and compare() may be called from many threads.
class ContaminationCheck {
 public:
  ContaminationCheck();

  ImageBook& test_images() { return test_book_; }
  void add(RowPlace place, const RowFacts& facts);
  void finish();

  /// To be called once for each different training image (ImageBook::OnNew).
  void compare_image(const ImageBook::Image& image, const Miniature& miniature);
  void compare_row(RowPlace place, const RowFacts& facts);

  Contamination result() const;

 private:
  struct TestRow {
    RowPlace place;
    TextGrams text;
    std::vector<const ImageBook::Image*> images;
  };
  struct Match {
    const ImageBook::Image* train = nullptr;
    bool is_exact = false;
    int distance = 0;
    double correlation = 0;
  };
  static bool is_better(const Match& a, const Match& b);
  bool has_same_image(const RowFacts& facts, const TestRow& test) const;

  ImageBook test_book_;
  std::vector<TestRow> rows_;
  std::unique_ptr<GramIndex> texts_;
  std::vector<const ImageBook::Image*> images_;  ///< those that can be compared
  std::unordered_multimap<uint64_t, size_t> image_by_content_;
  std::unique_ptr<HashIndex> hashes_;

  mutable std::mutex mutex_;  ///< of what follows, and of rows_ while they are added
  std::unordered_map<const ImageBook::Image*, std::vector<const ImageBook::Image*>> matches_;  ///< of training images, where there are some
  std::unordered_map<const ImageBook::Image*, Match> best_image_;                              ///< of test images
  std::unordered_map<int64_t, Contamination::TextPair> best_text_;                             ///< of test rows
};

}  // namespace multimeditron
