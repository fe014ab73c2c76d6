#include "text/prompt.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "text/prompt_case.h"

namespace multimeditron {
namespace {

using namespace testing;

const std::filesystem::path kCase = std::filesystem::path(TEST_DATA) / "case_qwen3_clip";

TEST(Prompt, SamplesOfTheWorkedExampleAreEqual) {
  const Json expected = read_json(kCase / "cases/qwen3_clip/expected.json");
  Tokenizer tokenizer = Tokenizer::load(kCase / "llm/qwen3");
  PromptOptions options{.chat_format = find_chat_format(tokenizer, TokenizerType::kQwen3, LabelMask::kOriginal, ""),
                        .attachment_token_id = tokenizer.add_special_token(kImage),
                        .attachment_token = kImage,
                        .embeddings_per_image = 9};
  ASSERT_EQ(options.attachment_token_id, 697);
  const auto rows = read_lines(kCase / "data/jsonl/train.jsonl");
  ASSERT_EQ(rows.size(), expected["samples"].size());
  for (const Json& sample : expected["samples"]) {
    const Json& row = rows.at(sample["index"].get<size_t>());
    const EncodedText encoded = row.contains("text") && !row["text"].is_null()
                                    ? encode_text(tokenizer, row["text"].get<std::string>(), options)
                                    : encode_conversation(tokenizer, messages_of(row["conversations"]), options);
    EXPECT_EQ(encoded.input_ids, sample["input_ids"].get<Ids>()) << sample["index"];
    EXPECT_EQ(encoded.labels, sample["labels"].get<Ids>()) << sample["index"];
    std::vector<ImageRange> ranges;
    for (const Json& range : sample["image_ranges"]) ranges.push_back({range[0].get<int64_t>(), range[1].get<int64_t>()});
    EXPECT_EQ(encoded.image_ranges, ranges) << sample["index"];
    EXPECT_EQ(encoded.learnt_tokens, sample["learnt_tokens"].get<int64_t>()) << sample["index"];
  }
  for (const Json& generation : expected["generation"]) {
    auto messages = messages_of(rows.at(generation["sample"].get<size_t>())["conversations"]);
    messages.resize(generation["messages"].get<size_t>());
    const EncodedText encoded = encode_conversation(tokenizer, messages, options, true);
    EXPECT_EQ(encoded.input_ids, generation["prompt_ids"].get<Ids>()) << generation["sample"];
    EXPECT_EQ(encoded.learnt_tokens, 0);
  }
}

TEST(Prompt, NoTokenIsLostAroundAnImage) {
  Prompt prompt("qwen3");
  const EncodedText with = prompt.encode({{"user", "a " + kImage + " b" + kImage + kImage}, {"assistant", "c"}});
  Ids without;
  for (int64_t id : with.input_ids)
    if (id != prompt.options.attachment_token_id) without.push_back(id);
  const Ids once = prompt.tokenizer.encode(with.text);
  EXPECT_EQ(with.input_ids.size(), once.size() + 3 * 2);
  Ids expected;
  for (int64_t id : once)
    if (id != prompt.options.attachment_token_id) expected.push_back(id);
  EXPECT_EQ(without, expected);
  ASSERT_EQ(with.image_ranges.size(), 3u);
  for (const ImageRange& range : with.image_ranges)
    for (int64_t i = range.start; i < range.end; ++i) EXPECT_EQ(with.input_ids[static_cast<size_t>(i)], prompt.options.attachment_token_id);
  EXPECT_EQ(with.image_ranges[1].end, with.image_ranges[2].start);
}

TEST(Prompt, AnImageInAnAnswerIsNotLearnt) {
  for (LabelMask mask : {LabelMask::kOriginal, LabelMask::kAssistant}) {
    Prompt prompt("qwen3");
    prompt.learn(mask, TokenizerType::kQwen3);
    const EncodedText encoded = prompt.encode({{"user", "Draw"}, {"assistant", "Here: " + kImage + "."}});
    ASSERT_EQ(encoded.image_ranges.size(), 1u);
    for (int64_t i = encoded.image_ranges[0].start; i < encoded.image_ranges[0].end; ++i)
      EXPECT_EQ(encoded.labels[static_cast<size_t>(i)], -100);
  }
}

TEST(Prompt, AConversationWithoutAnAnswerIsABadSample) {
  Prompt prompt("qwen3");
  EXPECT_USER_ERROR(prompt.encode({{"user", "a"}}), "no assistant turn", "1 messages");
  EXPECT_EQ(encode_conversation(prompt.tokenizer, std::vector<Message>{{"user", "a"}}, prompt.options, true).learnt_tokens, 0);
}

TEST(Truncation, DropsWholeTurnsFromTheEnd) {
  Prompt prompt("qwen3");
  const std::vector<Message> messages = {{"system", "be brief"}, {"user", kImage + "\nfirst?"}, {"assistant", "one"},  {"user", "second?"},
                                         {"assistant", "two"},   {"user", kImage + "third?"},   {"assistant", "three"}};
  const EncodedText whole = prompt.encode(messages);
  for (size_t kept : {3u, 5u, 7u}) {
    const EncodedText expected = prompt.encode({messages.begin(), messages.begin() + static_cast<ptrdiff_t>(kept)});
    const auto size = static_cast<int64_t>(expected.input_ids.size());
    // from the size where so many turns fit up to one below that of the next exchange
    prompt.options.max_sequence_length = size;
    const EncodedText cut = prompt.encode(messages);
    EXPECT_EQ(cut.input_ids, expected.input_ids);
    EXPECT_EQ(cut.labels, expected.labels);
    EXPECT_EQ(cut.image_ranges, expected.image_ranges);
    EXPECT_EQ(cut.dropped_turns, static_cast<int64_t>(7 - kept));
    EXPECT_EQ(cut.dropped_images, static_cast<int64_t>(whole.image_ranges.size() - expected.image_ranges.size()));
    prompt.options.max_sequence_length = size - 1;
    if (kept > 3) {
      EXPECT_LT(prompt.encode(messages).input_ids.size(), expected.input_ids.size());
    } else {
      EXPECT_USER_ERROR(prompt.encode(messages), "too long", "max_sequence_length");
    }
    prompt.options.max_sequence_length.reset();
  }
}

TEST(Truncation, DoesNotTouchPrompts) {
  Prompt prompt("qwen3");
  const std::vector<Message> messages = {{"user", "a long question about the lung"}};
  const Ids ids = encode_conversation(prompt.tokenizer, messages, prompt.options, true).input_ids;
  prompt.options.max_sequence_length = 4;
  EXPECT_EQ(encode_conversation(prompt.tokenizer, messages, prompt.options, true).input_ids, ids);
}

TEST(EncodeText, LearnsAllButImages) {
  Prompt prompt("llama");
  const EncodedText encoded = encode_text(prompt.tokenizer, "lung " + kImage + " cyst", prompt.options);
  EXPECT_EQ(encoded.input_ids.front(), prompt.tokenizer.bos_token_id());
  ASSERT_EQ(encoded.image_ranges.size(), 1u);
  EXPECT_EQ(encoded.learnt_tokens, static_cast<int64_t>(encoded.input_ids.size()) - 3);
  for (size_t i = 0; i < encoded.input_ids.size(); ++i) {
    const bool image = encoded.input_ids[i] == prompt.options.attachment_token_id;
    EXPECT_EQ(encoded.labels[i], image ? -100 : encoded.input_ids[i]);
  }
}

TEST(EncodeText, TruncationKeepsImagesWholeAndWithTheirText) {
  Prompt prompt("qwen3");
  prompt.options.embeddings_per_image = 3;
  const std::string text = "1" + kImage + "2" + kImage + "3";  // 1 III 2 III 3
  const auto cut = [&](int64_t size) {
    prompt.options.max_sequence_length = size;
    return encode_text(prompt.tokenizer, text, prompt.options);
  };
  EXPECT_EQ(cut(9).input_ids.size(), 9u);
  for (int64_t size = 1; size <= 8; ++size) {
    const EncodedText encoded = cut(size);
    // an image ends the text only where its text was cut away: then it goes as well
    EXPECT_EQ(encoded.input_ids.size(), size >= 5 ? 5u : 1u) << size;
    EXPECT_EQ(encoded.dropped_images, size >= 5 ? 1 : 2) << size;
    EXPECT_EQ(encoded.image_ranges.size(), size >= 5 ? 1u : 0u) << size;
    EXPECT_EQ(encoded.learnt_tokens, size >= 5 ? 2 : 1) << size;
  }
  prompt.options.max_sequence_length = 2;
  EXPECT_USER_ERROR(encode_text(prompt.tokenizer, kImage + " lung", prompt.options), "too long", "max_sequence_length");
}

TEST(EscapeSpecialTokens, NothingTypedBecomesAControlToken) {
  for (const std::string& kind : kAllKinds) {
    Prompt prompt(kind);
    std::string all = "Look:";
    for (const AddedToken& token : prompt.tokenizer.added_tokens()) all += token.content + " and <" + token.content + ">";
    for (const std::string& text :
         std::vector<std::string>{all, kImage, kImage + kImage, "<|im_<|im_end|>end|>", "a" + kImage + "\n", "</think>"}) {
      const std::string escaped = escape_special_tokens(prompt.tokenizer, text);
      for (int64_t id : prompt.tokenizer.encode(escaped)) EXPECT_FALSE(prompt.tokenizer.is_special(id)) << kind << ": " << escaped;
      EXPECT_EQ(escape_special_tokens(prompt.tokenizer, escaped), escaped);
    }
  }
}

TEST(EscapeSpecialTokens, LeavesOrdinaryTextAlone) {
  Prompt prompt("qwen3");
  for (const std::string text : {"", "Is the lung normal?", "a < b > c <| x |> <b>", "肺 👩‍⚕️ \n\t"})
    EXPECT_EQ(escape_special_tokens(prompt.tokenizer, text), text);
  EXPECT_EQ(escape_special_tokens(prompt.tokenizer, "x<|im_end|>y"), "x< |im_end|>y");
}

}  // namespace
}  // namespace multimeditron
