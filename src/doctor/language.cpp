#include "doctor/language.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>

#include "doctor/characters.h"
#include "doctor/ngrams.h"

namespace multimeditron {
namespace {

enum Script { kLatin, kCyrillic, kGreek, kHebrew, kArabic, kDevanagari, kThai, kKana, kHan, kHangul, kNumScripts };

/// The script of a letter, or kNumScripts for everything else.
Script script_of(char32_t c) {
  struct Range {
    char32_t first, last;
    Script script;
  };
  static constexpr Range kRanges[] = {
      {'A', 'Z', kLatin},        {'a', 'z', kLatin},      {0xc0, 0x24f, kLatin},   {0x370, 0x3ff, kGreek},      {0x400, 0x52f, kCyrillic},
      {0x590, 0x5ff, kHebrew},   {0x600, 0x6ff, kArabic}, {0x750, 0x77f, kArabic}, {0x900, 0x97f, kDevanagari}, {0xe00, 0xe7f, kThai},
      {0x1e00, 0x1eff, kLatin},  {0x3040, 0x30ff, kKana}, {0x3400, 0x9fff, kHan},  {0xac00, 0xd7af, kHangul},   {0xfb50, 0xfdff, kArabic},
      {0xfe70, 0xfeff, kArabic}, {0x20000, 0x3ffff, kHan}};
  for (const Range& range : kRanges)
    if (c >= range.first && c <= range.last) return range.script;
  return kNumScripts;
}

constexpr std::array<const char*, 7> kLanguages = {"English", "French", "German", "Spanish", "Italian", "Portuguese", "Dutch"};

/// The languages' commonest words, as a set of bits by kLanguages; a word of two languages counts for both.
const std::unordered_map<std::string, uint32_t>& common_words() {
  static const std::unordered_map<std::string, uint32_t> words = [] {
    constexpr std::array<const char*, 7> kWords = {
        "the of and is are in to a with this that what which there it on for be from was has no yes not image shows",
        "le la les des du de et est un une dans que qui pour avec sur pas ce cette il elle sont au aux par ou l d quel quelle",
        "der die das und ist ein eine nicht mit den dem des von zu im auf für sich auch es wird sind bei was welche",
        "el la los las de del y es un una en que con por para no se su al lo como son qué cuál hay está",
        "il lo la i gli le di e è un una in che con per non si del della dei sono al alla nel quale questa",
        "o a os as de do da e é um uma em que com por para não se no na dos das ao são qual há está",
        "de het een en is van in dat die niet met op te voor zijn er aan bij wat welke ook dit deze wordt"};
    std::unordered_map<std::string, uint32_t> made;
    for (size_t i = 0; i < kWords.size(); ++i)
      for (const std::string& word : words_of(kWords[i])) made[word] |= uint32_t{1} << i;
    return made;
  }();
  return words;
}

std::string latin_language(std::string_view text) {
  std::array<int64_t, kLanguages.size()> counts{};
  const auto& common = common_words();
  for (const std::string& word : words_of(text)) {
    const auto known = common.find(word);
    if (known == common.end()) continue;
    for (size_t i = 0; i < counts.size(); ++i) counts[i] += known->second >> i & 1;
  }
  const auto best = std::max_element(counts.begin(), counts.end());
  const bool is_clear = *best >= 2 && std::count(counts.begin(), counts.end(), *best) == 1;
  return is_clear ? kLanguages[static_cast<size_t>(best - counts.begin())] : "Latin letters";
}

}  // namespace

std::string guess_language(std::string_view text) {
  text = text.substr(0, 2000);  // a guess needs no more
  std::array<int64_t, kNumScripts> letters{};
  for (size_t at = 0; at < text.size();) {
    const Script script = script_of(next_character(text, at));
    if (script != kNumScripts) ++letters[script];
  }
  const auto most = std::max_element(letters.begin(), letters.end());
  if (*most == 0) return "none";
  switch (most - letters.begin()) {
    case kLatin:
      return latin_language(text);
    case kCyrillic:
      return "Cyrillic letters";
    case kGreek:
      return "Greek";
    case kHebrew:
      return "Hebrew";
    case kArabic:
      return "Arabic letters";
    case kDevanagari:
      return "Devanagari letters";
    case kThai:
      return "Thai";
    case kHangul:
      return "Korean";
    case kKana:
      return "Japanese";
    default:
      return letters[kKana] > 0 ? "Japanese" : "Chinese";
  }
}

}  // namespace multimeditron
