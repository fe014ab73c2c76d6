#include "generation/text_stream.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

namespace multimeditron {
namespace {

Tokenizer tokenizer(const char* name = "case_two/llm/qwen3") {
  return Tokenizer::load(std::filesystem::path(TEST_DATA) / name);
}

bool is_utf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    i += length;
  }
  return true;
}

void expect_stream_equals_decode(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  TextStream stream(tokenizer);
  std::string text;
  for (const int64_t id : ids) {
    const std::string piece = stream.push(id);
    EXPECT_TRUE(is_utf8(piece));
    text += piece;
  }
  text += stream.finish();
  EXPECT_EQ(text, tokenizer.decode(ids, true));
}

TEST(TextStream, ACharacterOfSeveralTokensComesWhole) {
  const Tokenizer reader = tokenizer();
  const std::string text = "a \xe5\x8f\xb6 \xf0\x9f\xa9\xbb lung";  // a leaf, an X-ray
  const auto ids = reader.encode(text);
  ASSERT_GT(ids.size(), 6u);
  expect_stream_equals_decode(reader, ids);
  TextStream stream(reader);
  std::string seen;
  for (const int64_t id : ids) {
    seen += stream.push(id);
    EXPECT_TRUE(text.starts_with(seen));
  }
  EXPECT_EQ(seen, text);
}

/// Where a token is a byte that the vocabulary lacks as a character, decoding shows a replacement character for each byte of a beginning.
TEST(TextStream, CharactersOfFallenBackBytesComeWhole) {
  const Tokenizer reader = tokenizer("text/mistral");
  const auto ids = reader.encode("a \xe5\x8f\xb6\xc3\xa9 \xf0\x9f\xa9\xbb lung \xf0\x9f\xa9\xbb");
  const std::string text = reader.decode(ids, true);
  TextStream stream(reader);
  std::string seen;
  for (const int64_t id : ids) {
    seen += stream.push(id);
    EXPECT_TRUE(text.starts_with(seen)) << seen;
  }
  EXPECT_EQ(seen, text);
  // Broken characters may cost whole ones before them; no piece is half a character.
  const auto bytes = reader.encode("\xf0\x9f\xa9\xbb\xc3\xa9");
  std::mt19937 random(6);
  for (int round = 0; round < 100; ++round) {
    TextStream broken(reader);
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(is_utf8(broken.push(bytes[random() % bytes.size()])));
    EXPECT_TRUE(is_utf8(broken.finish()));
  }
}

TEST(TextStream, TextThatCanOnlyStandIsNotHeldBack) {
  const Tokenizer reader = tokenizer();
  TextStream stream(reader);
  std::string text;
  for (const int64_t id : reader.encode("no effusion")) text += stream.push(id);
  EXPECT_EQ(text, "no effusion");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, AnyIdsGiveTheTextOfAllOfThem) {
  const Tokenizer reader = tokenizer();
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<int64_t> ids(1 + random() % 30);
    // Half of them single bytes, so that broken and whole characters occur.
    for (int64_t& id : ids) id = static_cast<int64_t>(random() % (round % 2 == 0 ? 256 : reader.size()));
    expect_stream_equals_decode(reader, ids);
  }
}

}  // namespace
}  // namespace multimeditron
