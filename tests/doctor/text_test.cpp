#include <gtest/gtest.h>

#include <map>

#include "doctor/characters.h"
#include "doctor/language.h"
#include "doctor/ngrams.h"

namespace multimeditron::testing {
namespace {

std::map<int64_t, double> overlaps(const std::vector<std::string>& texts, const std::string& text, double least = 0.01) {
  std::vector<TextGrams> grams;
  for (const std::string& each : texts) grams.push_back(grams_of(each));
  std::map<int64_t, double> found;
  GramIndex(grams).overlaps(grams_of(text), least, [&](int64_t row, double share) { found[row] = share; });
  return found;
}

TEST(Grams, WordsAreRunsOfLettersInLowerCase) {
  EXPECT_EQ(words_of("The 2-cm \xc3\x84nderung, isn't it?"),
            (std::vector<std::string>{"the", "2", "cm", "\xc3\xa4nderung", "isn", "t", "it"}));
  EXPECT_EQ(words_of("\xe8\x82\xba\xe9\x83\xa8 CT"), (std::vector<std::string>{"\xe8\x82\xba", "\xe9\x83\xa8", "ct"}));
  EXPECT_TRUE(words_of(" \xe2\x80\x94 ... ").empty());
}

TEST(Grams, ATextHasAGramForEachEightWordsInARow) {
  EXPECT_EQ(grams_of("a b c d e f g").grams.size(), 0U);
  EXPECT_EQ(grams_of("a b c d e f g h").grams.size(), 1U);
  EXPECT_EQ(grams_of("a b c d e f g h i j").grams.size(), 3U);
  EXPECT_EQ(grams_of("a a a a a a a a a a").grams.size(), 1U);  // each once
  EXPECT_EQ(grams_of("A, b c d e f g h!").grams, grams_of("a b c d e f g h").grams);
  EXPECT_NE(grams_of("a b c d e f g i").grams, grams_of("a b c d e f g h").grams);
  EXPECT_EQ(grams_of("A b.").whole, grams_of("a b").whole);
  EXPECT_NE(grams_of("ab").whole, grams_of("a b").whole);
}

TEST(Grams, SharesAreOfTheIndexedTextsOwnGrams) {
  // Row 0 has three grams, of which "x a b c d e f g h i" holds two; row 1 has one, which it does not.
  const std::vector<std::string> texts = {"a b c d e f g h i j", "k l m n o p q r"};
  const auto found = overlaps(texts, "x a b c d e f g h i");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NEAR(found.at(0), 2.0 / 3, 1e-12);
  EXPECT_TRUE(overlaps(texts, "x a b c d e f g h i", 0.7).empty());
  EXPECT_TRUE(overlaps(texts, "a b c d e f g").empty());
}

TEST(Grams, WhatManyTextsShareDoesNotCount) {
  // How the questions are put stands in eleven texts, one more than may be; what follows is each text's own.
  std::vector<std::string> texts;
  for (char c = 'a'; c <= 'k'; ++c)
    texts.push_back("answer the question with a single short word " + std::string(8, c) + " one two three four five six seven " + c);
  const std::string question = "answer the question with a single short word";
  EXPECT_TRUE(overlaps(texts, question).empty());
  texts.resize(10);
  EXPECT_EQ(overlaps(texts, question).size(), 10U);
}

TEST(Grams, ShortTextsAreFoundWhole) {
  std::vector<TextGrams> texts{grams_of("Is it a CT? Yes."), grams_of("Is it an MRI? Yes."), grams_of("")};
  const GramIndex index(texts);
  std::vector<int64_t> found;
  const auto look = [&](const char* text) {
    found.clear();
    index.equals(grams_of(text), [&](int64_t row) { found.push_back(row); });
    return found;
  };
  EXPECT_EQ(look("is it a ct yes"), std::vector<int64_t>{0});
  EXPECT_EQ(look("is it a ct no"), std::vector<int64_t>{});
  EXPECT_EQ(look(""), std::vector<int64_t>{});
  EXPECT_EQ(index.num_comparable(), 0);
}

TEST(Language, IsGuessedFromScriptAndCommonWords) {
  const std::map<std::string, std::string> cases = {
      {"What is shown in this image? The liver is enlarged.", "English"},
      {"Quelle est la mo\xc3\xa4"
       "dalit\xc3\xa9 de cette image? Il y a une l\xc3\xa9sion dans le foie.",
       "French"},
      {"Was ist auf dem Bild zu sehen? Die Leber ist nicht vergr\xc3\xb6\xc3\x9f"
       "ert.",
       "German"},
      {"\xc2\xbfQu\xc3\xa9 se observa en la imagen? El h\xc3\xadgado no est\xc3\xa1 aumentado.", "Spanish"},
      {"CT abdomen", "Latin letters"},
      {"\xe8\xbf\x99\xe6\x98\xaf\xe4\xbb\x80\xe4\xb9\x88", "Chinese"},
      {"\xe3\x81\x93\xe3\x82\x8c\xe3\x81\xaf\xe8\x82\xba\xe3\x81\xa7\xe3\x81\x99", "Japanese"},
      {"\xd1\x87\xd1\x82\xd0\xbe", "Cyrillic letters"},
      {"12 34 ?", "none"},
  };
  for (const auto& [text, language] : cases) EXPECT_EQ(guess_language(text), language) << text;
}

TEST(Characters, ShortenedTextsEndBetweenCharacters) {
  EXPECT_EQ(shortened("\xc3\xa4\xc3\xb6\xc3\xbc", 2), "\xc3\xa4\xc3\xb6\xe2\x80\xa6");
  EXPECT_EQ(shortened("ab", 2), "ab");
}

}  // namespace
}  // namespace multimeditron::testing
