// Properties of prompts, on conversations drawn from a seed.
#include <gtest/gtest.h>

#include <random>

#include "base/error.h"
#include "text/prompt_case.h"

namespace multimeditron {
namespace {

using namespace testing;

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}

  size_t below(size_t count) { return random_() % count; }
  bool once_in(size_t times) { return below(times) == 0; }

  std::string words(size_t most) {
    static const std::vector<std::string> kWords{"the", "lung ", "Größe", " 肺", "\n", "👩‍⚕️", "cyst",
                                                 "3.5", "  ",    "(",     "رئة", "x",  "</b>",          "\t"};
    std::string text;
    for (size_t i = below(most + 1); i > 0; --i) text += kWords[below(kWords.size())];
    return text;
  }

  std::string content(size_t most_images) {
    std::string text = words(6);
    if (once_in(2))
      for (size_t i = below(most_images + 1); i > 0; --i) text += kImage + words(2);
    return text;
  }

  std::vector<Message> conversation() {
    std::vector<Message> messages;
    if (once_in(3)) messages.push_back({"system", words(4)});
    for (size_t i = 1 + below(5); i > 0; --i) {
      messages.push_back({"user", content(3)});
      messages.push_back({"assistant", content(1)});
    }
    return messages;
  }

 private:
  std::mt19937 random_;
};

/// The ids with each image's placeholders drawn together into one.
Ids collapsed(const EncodedText& encoded) {
  Ids ids;
  size_t image = 0;
  for (size_t i = 0; i < encoded.input_ids.size(); ++i) {
    ids.push_back(encoded.input_ids[i]);
    if (image < encoded.image_ranges.size() && encoded.image_ranges[image].start == static_cast<int64_t>(i))
      i = static_cast<size_t>(encoded.image_ranges[image++].end) - 1;
  }
  return ids;
}

/// What must hold of every encoded text.
void expect_sound(const Prompt& prompt, const EncodedText& encoded) {
  ASSERT_EQ(encoded.labels.size(), encoded.input_ids.size());
  int64_t learnt = 0;
  for (size_t i = 0; i < encoded.labels.size(); ++i) {
    EXPECT_TRUE(encoded.labels[i] == -100 || encoded.labels[i] == encoded.input_ids[i]);
    learnt += encoded.labels[i] != -100;
  }
  EXPECT_EQ(encoded.learnt_tokens, learnt);
  int64_t placeholders = 0, end = 0;
  for (const ImageRange& range : encoded.image_ranges) {
    EXPECT_GE(range.start, end);
    EXPECT_EQ(range.end - range.start, prompt.options.embeddings_per_image);
    end = range.end;
    for (int64_t i = range.start; i < range.end; ++i) {
      EXPECT_EQ(encoded.input_ids[static_cast<size_t>(i)], prompt.options.attachment_token_id);
      EXPECT_EQ(encoded.labels[static_cast<size_t>(i)], -100);
      ++placeholders;
    }
  }
  EXPECT_EQ(std::ranges::count(encoded.input_ids, prompt.options.attachment_token_id), placeholders);
}

class PromptProperties : public ::testing::TestWithParam<std::string> {};

TEST_P(PromptProperties, NoTokenIsLostWhereImagesAreExpanded) {
  Prompt prompt(GetParam());
  Draw draw(1);
  for (int i = 0; i < 60; ++i) {
    prompt.options.embeddings_per_image = static_cast<int64_t>(1 + draw.below(5));
    const EncodedText encoded = prompt.encode(draw.conversation());
    expect_sound(prompt, encoded);
    EXPECT_EQ(collapsed(encoded), prompt.tokenizer.encode(encoded.text));
  }
}

TEST_P(PromptProperties, TruncationKeepsTheMostExchangesThatFitAndEachImageWhole) {
  Prompt prompt(GetParam());
  Draw draw(2);
  int cut = 0, refused = 0;
  for (int i = 0; i < 60; ++i) {
    const std::vector<Message> messages = draw.conversation();
    prompt.options.embeddings_per_image = static_cast<int64_t>(1 + draw.below(5));
    prompt.options.max_sequence_length.reset();
    const EncodedText whole = prompt.encode(messages);
    const auto limit = static_cast<int64_t>(1 + draw.below(whole.input_ids.size() + 4));

    // the longest beginning that ends with an answer and fits, found by trying all
    std::optional<EncodedText> expected;
    for (size_t kept = messages.size(); kept > 0 && !expected; --kept) {
      if (messages[kept - 1].role != "assistant") continue;
      EncodedText beginning = prompt.encode({messages.begin(), messages.begin() + static_cast<ptrdiff_t>(kept)});
      if (static_cast<int64_t>(beginning.input_ids.size()) > limit) continue;
      beginning.dropped_turns = static_cast<int64_t>(messages.size() - kept);
      expected = std::move(beginning);
    }
    prompt.options.max_sequence_length = limit;
    if (!expected) {
      EXPECT_USER_ERROR(prompt.encode(messages), "too long", "max_sequence_length");
      ++refused;
      continue;
    }
    const EncodedText encoded = prompt.encode(messages);
    expect_sound(prompt, encoded);
    EXPECT_LE(static_cast<int64_t>(encoded.input_ids.size()), limit);
    EXPECT_EQ(encoded.input_ids, expected->input_ids);
    EXPECT_EQ(encoded.labels, expected->labels);
    EXPECT_EQ(encoded.image_ranges, expected->image_ranges);
    EXPECT_EQ(encoded.dropped_turns, expected->dropped_turns);
    EXPECT_EQ(encoded.dropped_images, static_cast<int64_t>(whole.image_ranges.size() - encoded.image_ranges.size()));
    cut += encoded.dropped_turns > 0;
  }
  EXPECT_GT(cut, 5);
  EXPECT_GT(refused, 2);
}

TEST_P(PromptProperties, ACutTextIsABeginningThatEndsBehindTextNotAnImage) {
  Prompt prompt(GetParam());
  Draw draw(3);
  for (int i = 0; i < 120; ++i) {
    const std::string text = draw.words(4) + draw.content(4) + draw.words(3);
    prompt.options.max_sequence_length.reset();
    const EncodedText whole = encode_text(prompt.tokenizer, text, prompt.options);
    if (whole.input_ids.empty()) continue;
    prompt.options.max_sequence_length = static_cast<int64_t>(1 + draw.below(whole.input_ids.size()));
    try {
      const EncodedText encoded = encode_text(prompt.tokenizer, text, prompt.options);
      expect_sound(prompt, encoded);
      const size_t size = encoded.input_ids.size();
      EXPECT_LE(static_cast<int64_t>(size), *prompt.options.max_sequence_length);
      EXPECT_TRUE(std::equal(encoded.input_ids.begin(), encoded.input_ids.end(), whole.input_ids.begin()));
      EXPECT_TRUE(std::equal(encoded.labels.begin(), encoded.labels.end(), whole.labels.begin()));
      EXPECT_TRUE(size == whole.input_ids.size() || encoded.input_ids.back() != prompt.options.attachment_token_id);
      EXPECT_EQ(encoded.dropped_images, static_cast<int64_t>(whole.image_ranges.size() - encoded.image_ranges.size()));
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find("max_sequence_length"), std::string::npos);
    }
  }
}

/// Pieces of every added token and tag, spliced at random.
std::string splice(Draw& draw, const std::vector<std::string>& tokens) {
  std::string text;
  for (size_t parts = 1 + draw.below(6); parts > 0; --parts) {
    const std::string& token = tokens[draw.below(tokens.size())];
    switch (draw.below(4)) {
      case 0:
        text += token;
        break;
      case 1: {  // one token inside another
        const size_t at = draw.below(token.size() + 1);
        text += token.substr(0, at) + tokens[draw.below(tokens.size())] + token.substr(at);
        break;
      }
      case 2: {  // an end of one, a beginning of another
        text += token.substr(draw.below(token.size() + 1));
        const std::string& other = tokens[draw.below(tokens.size())];
        text += other.substr(0, draw.below(other.size() + 1));
        break;
      }
      default:
        text += draw.words(2);
    }
  }
  // cuts may fall inside a character
  std::string valid;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t size = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    bool whole = size > 0 && at + size <= text.size();
    for (size_t k = 1; whole && k < size; ++k) whole = (static_cast<unsigned char>(text[at + k]) & 0xc0) == 0x80;
    if (whole) valid += text.substr(at, size);
    at += whole ? size : 1;
  }
  return valid;
}

Ids control_tokens(const Prompt& prompt, const Ids& ids) {
  Ids control;
  for (const int64_t id : ids)
    if (prompt.tokenizer.is_special(id)) control.push_back(id);
  return control;
}

TEST_P(PromptProperties, WhatIsTypedCannotBecomeAControlTokenOrATag) {
  const Prompt prompt(GetParam());
  std::vector<std::string> tokens = chat_tags(prompt.tokenizer);
  for (const AddedToken& token : prompt.tokenizer.added_tokens()) tokens.push_back(token.content);
  const auto rendered = [&](const std::string& content) {
    return prompt.tokenizer.encode(prompt.tokenizer.apply_chat_template(std::vector<Message>{{"user", content}}, true, "2026-11-25"));
  };
  const Ids structure = control_tokens(prompt, rendered("lung"));
  Draw draw(4);
  for (int i = 0; i < 150; ++i) {
    const std::string typed = splice(draw, tokens), escaped = escape_special_tokens(prompt.tokenizer, typed);
    EXPECT_EQ(control_tokens(prompt, prompt.tokenizer.encode(escaped)), Ids()) << typed << "\n" << escaped;
    EXPECT_EQ(escape_special_tokens(prompt.tokenizer, escaped), escaped) << typed;
    EXPECT_EQ(control_tokens(prompt, rendered(escaped)), structure) << typed << "\n" << escaped;
    for (const std::string& tag : chat_tags(prompt.tokenizer)) EXPECT_EQ(escaped.find(tag), std::string::npos) << typed;
  }
}

INSTANTIATE_TEST_SUITE_P(Text, PromptProperties, ::testing::ValuesIn(kAllKinds), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace multimeditron
