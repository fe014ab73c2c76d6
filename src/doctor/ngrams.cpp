#include "doctor/ngrams.h"

#include <algorithm>
#include <map>

#include "base/hash.h"
#include "doctor/characters.h"

namespace multimeditron {
namespace {

char32_t lower(char32_t c) {
  if (c >= U'A' && c <= U'Z') return c + 32;
  if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) || (c >= 0x410 && c <= 0x42f)) return c + 32;
  if (c >= 0x400 && c <= 0x40f) return c + 80;
  return c;
}

bool is_word_character(char32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (c < 0xc0) return c == 0xb5;  // micro
  return c != 0xd7 && c != 0xf7 && !(c >= 0x2000 && c <= 0x2bff) && !(c >= 0x3000 && c <= 0x303f) && !(c >= 0xff00 && c <= 0xff0f) &&
         !(c >= 0xff1a && c <= 0xff20) && c != 0xfffd;
}

/// Scripts that put no blanks between words.
bool is_word_alone(char32_t c) {
  return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7af) || (c >= 0x20000 && c <= 0x3ffff);
}

/// Calls `word(hash)` for each word.
template <typename Word>
void for_each_word(std::string_view text, Word word) {
  constexpr uint64_t kStart = 0xcbf29ce484222325ULL, kPrime = 0x100000001b3ULL;
  uint64_t hash = kStart;
  bool inside = false;
  const auto end = [&] {
    if (inside) word(mix_bits(hash));
    hash = kStart;
    inside = false;
  };
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (!is_word_character(c)) {
      end();
      continue;
    }
    if (is_word_alone(c)) end();
    hash = (hash ^ lower(c)) * kPrime;
    inside = true;
    if (is_word_alone(c)) end();
  }
  end();
}

}  // namespace

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto end = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (!is_word_character(c) || is_word_alone(c)) end();
    if (!is_word_character(c)) continue;
    add_character(word, lower(c));
    if (is_word_alone(c)) end();
  }
  end();
  return words;
}

TextGrams grams_of(std::string_view text) {
  constexpr uint64_t kBase = 0x9e3779b97f4a7c15ULL;
  uint64_t leaving = 1;  // kBase to the power of the words in a gram
  for (int64_t i = 0; i < TextGrams::kWords; ++i) leaving *= kBase;
  TextGrams result;
  std::vector<uint64_t> words;
  uint64_t rolling = 0;
  for_each_word(text, [&](uint64_t word) {
    words.push_back(word);
    result.whole = mix_bits(result.whole * kBase + word);
    rolling = rolling * kBase + word;
    const auto count = static_cast<int64_t>(words.size());
    if (count > TextGrams::kWords) rolling -= words[static_cast<size_t>(count - TextGrams::kWords - 1)] * leaving;
    if (count >= TextGrams::kWords) result.grams.push_back(mix_bits(rolling));
  });
  result.num_words = static_cast<int64_t>(words.size());
  std::sort(result.grams.begin(), result.grams.end());
  result.grams.erase(std::unique(result.grams.begin(), result.grams.end()), result.grams.end());
  return result;
}

GramIndex::GramIndex(const std::vector<TextGrams>& texts) : num_grams_(texts.size(), 0) {
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto row = static_cast<uint32_t>(i);
    for (const uint64_t gram : texts[i].grams) grams_.push_back({gram, row});
    if (texts[i].num_words > 0 && texts[i].num_words < TextGrams::kWords) wholes_.push_back({texts[i].whole, row});
  }
  std::sort(grams_.begin(), grams_.end());
  std::sort(wholes_.begin(), wholes_.end());
  const int64_t most = std::max<int64_t>(kCommon, static_cast<int64_t>(texts.size()) / 100);
  auto kept = grams_.begin();
  for (auto first = grams_.begin(); first != grams_.end();) {
    auto last = first;
    while (last != grams_.end() && last->hash == first->hash) ++last;
    if (last - first <= most) kept = std::copy(first, last, kept);
    first = last;
  }
  grams_.erase(kept, grams_.end());
  for (const Entry& entry : grams_) ++num_grams_[entry.row];

  uint64_t bits = 1024;
  while (bits < 16 * grams_.size()) bits *= 2;
  filter_.assign(bits / 64, 0);
  filter_mask_ = bits - 1;
  for (const Entry& entry : grams_) filter_[(entry.hash & filter_mask_) / 64] |= uint64_t{1} << (entry.hash & 63);
}

void GramIndex::overlaps(const TextGrams& text, double least, const std::function<void(int64_t, double)>& found) const {
  std::map<uint32_t, uint32_t> hits;  // by row
  for (const uint64_t gram : text.grams) {
    if ((filter_[(gram & filter_mask_) / 64] >> (gram & 63) & 1) == 0) continue;
    for (auto entry = std::lower_bound(grams_.begin(), grams_.end(), Entry{gram, 0}); entry != grams_.end() && entry->hash == gram; ++entry)
      ++hits[entry->row];
  }
  for (const auto& [row, count] : hits) {
    const double share = static_cast<double>(count) / num_grams_[row];
    if (share >= least) found(row, share);
  }
}

void GramIndex::equals(const TextGrams& text, const std::function<void(int64_t)>& found) const {
  if (text.num_words == 0 || text.num_words >= TextGrams::kWords) return;
  for (auto entry = std::lower_bound(wholes_.begin(), wholes_.end(), Entry{text.whole, 0});
       entry != wholes_.end() && entry->hash == text.whole; ++entry)
    found(entry->row);
}

int64_t GramIndex::num_comparable() const {
  return std::count_if(num_grams_.begin(), num_grams_.end(), [](uint32_t count) { return count > 0; });
}

}  // namespace multimeditron
