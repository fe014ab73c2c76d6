#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace multimeditron {

/// Words of a text as they are compared: runs of letters and digits in lower case; a Chinese, Japanese or Korean character is a word.
std::vector<std::string> words_of(std::string_view text);

/// A text as what it shares with others: hashes of every eight words in a row, each once, sorted; and of all its words together.
struct TextGrams {
  static constexpr int64_t kWords = 8;
  std::vector<uint64_t> grams;  ///< empty where the text has fewer words
  uint64_t whole = 0;
  int64_t num_words = 0;
};

TextGrams grams_of(std::string_view text);

/// Finds, among many texts (a test set's), those that share eight words in a row with another. Memory is that of the indexed texts. Const
/// calls are thread-safe.
class GramIndex {
 public:
  /// Eight words that more texts share than this (or than 1 % of them) are how questions of the set are put and say nothing.
  static constexpr int64_t kCommon = 10;

  /// `texts[i]`: the text of row i.
  explicit GramIndex(const std::vector<TextGrams>& texts);

  /// Calls `found(row, share)` for each text that has at least `least` of its own grams (common ones not counted) in `text`.
  void overlaps(const TextGrams& text, double least, const std::function<void(int64_t row, double share)>& found) const;
  /// Texts shorter than eight words that equal `text`.
  void equals(const TextGrams& text, const std::function<void(int64_t row)>& found) const;
  /// Rows that overlaps() can find.
  int64_t num_comparable() const;

 private:
  struct Entry {
    uint64_t hash;
    uint32_t row;
    bool operator<(const Entry& other) const { return hash != other.hash ? hash < other.hash : row < other.row; }
  };
  std::vector<Entry> grams_, wholes_;  // sorted
  std::vector<uint32_t> num_grams_;    // of each row, without common ones
  std::vector<uint64_t> filter_;       // a bit a hash: most that are looked for are not there
  uint64_t filter_mask_ = 0;
};

}  // namespace multimeditron
