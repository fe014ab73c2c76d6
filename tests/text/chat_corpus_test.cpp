// Conversations through whole tokenizers: text, ids and both label rules equal those of the reference (tests/reference/chat_corpus.py).
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/hash.h"
#include "text/prompt_case.h"

namespace multimeditron {
namespace {

using namespace testing;

std::string digest(const std::string& text) {
  return sha256(text).substr(0, 6);
}

std::string digest(const Ids& ids) {
  std::string text;
  for (const int64_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return digest(text);
}

/// Every conversation's digests; returns how many were not refused.
int compare_digests(Prompt& prompt, const Json& golden) {
  prompt.options.allow_no_assistant_turn = true;
  EXPECT_EQ(prompt.options.attachment_token_id, golden["attachment_token_id"].get<int64_t>());
  const auto type = golden["tokenizer_type"].get<std::string>();
  const auto rows = read_lines(kTextData / "conversations.jsonl");
  EXPECT_EQ(rows.size(), golden["digests"].size());
  const bool has_original = type != "auto";
  int compared = 0;
  PromptOptions original = prompt.options, assistant = prompt.options;
  const auto learn = [&](PromptOptions& options, LabelMask mask) {
    options.label_mask = mask;
    options.chat_format = find_chat_format(prompt.tokenizer, type_of(type), mask, options.today);
  };
  if (has_original) learn(original, LabelMask::kOriginal);
  learn(assistant, LabelMask::kAssistant);
  for (size_t row = 0; row < rows.size(); ++row) {
    const auto messages = messages_of(rows[row]["messages"]);
    const auto expected = golden["digests"][row].get<std::string>();
    if (expected == "refused") {
      EXPECT_THROW(encode_conversation(prompt.tokenizer, messages, assistant), UserError) << row;
      continue;
    }
    const EncodedText by_assistant = encode_conversation(prompt.tokenizer, messages, assistant);
    const EncodedText question = encode_conversation(prompt.tokenizer, messages, assistant, true);
    std::string original_labels = "-";
    if (has_original) original_labels = digest(encode_conversation(prompt.tokenizer, messages, original).labels);
    EXPECT_EQ(digest(by_assistant.text) + " " + digest(by_assistant.input_ids) + " " + original_labels + " " + digest(by_assistant.labels) +
                  " " + digest(question.input_ids),
              expected)
        << "conversation " << row << ":\n"
        << by_assistant.text;
    EXPECT_EQ(question.learnt_tokens, 0);
    ++compared;
  }
  return compared;
}

class ChatCorpus : public ::testing::TestWithParam<std::string> {};

TEST_P(ChatCorpus, TextsIdsAndLabelsAreThoseOfTheReference) {
  Prompt prompt(GetParam());
  EXPECT_GE(compare_digests(prompt, read_json(kTextData / (GetParam() + ".json"))), 500);
}

TEST_P(ChatCorpus, TheFirstConversationsAreEqualInFull) {
  const std::string kind = GetParam();
  Prompt prompt(kind);
  prompt.options.allow_no_assistant_turn = true;
  const Json golden = read_json(kTextData / (kind + ".json"));
  const auto rows = read_lines(kTextData / "conversations.jsonl");
  for (size_t row = 0; row < golden["whole"].size(); ++row) {
    const auto messages = messages_of(rows[row]["messages"]);
    const Json& expected = golden["whole"][row];
    if (expected.contains("refused")) {
      EXPECT_USER_ERROR(prompt.encode(messages), expected["refused"].get<std::string>());
      continue;
    }
    Ids ids = expected["ids"].get<Ids>();
    for (const Json& start : expected["images"]) ids.insert(ids.begin() + start.get<int64_t>(), 3, prompt.options.attachment_token_id);
    for (const LabelMask mask : {LabelMask::kOriginal, LabelMask::kAssistant}) {
      const char* rule = mask == LabelMask::kOriginal ? "original" : "assistant";
      if (expected[rule].is_null()) continue;
      prompt.learn(mask, type_of(kind));
      const EncodedText encoded = prompt.encode(messages);
      EXPECT_EQ(encoded.input_ids, ids) << row;
      Ids labels(ids.size(), -100);
      for (const Json& run : expected[rule])
        for (int64_t i = run[0].get<int64_t>(); i < run[1].get<int64_t>(); ++i)
          labels[static_cast<size_t>(i)] = ids[static_cast<size_t>(i)];
      EXPECT_EQ(encoded.labels, labels) << kind << ", " << rule << ", conversation " << row << ":\n" << encoded.text;
      EXPECT_EQ(encoded.learnt_tokens, std::ranges::count_if(labels, [](int64_t label) { return label != -100; }));
      EXPECT_EQ(encoded.image_ranges.size(), expected["images"].size());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Text, ChatCorpus, ::testing::ValuesIn(kAllKinds), [](const auto& info) { return info.param; });

// The published tokenizers are too large for the repository: tests/reference/fetch_tokenizers.sh fetches them.
class PublishedTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder() / "tokenizer.json")) GTEST_SKIP() << "run tests/reference/fetch_tokenizers.sh";
  }
  static std::filesystem::path folder() { return kTextData / "../../../.deps/tokenizers" / GetParam(); }
};

TEST_P(PublishedTokenizer, GivesTheIdsOfTheReferenceLibrary) {
  const Tokenizer tokenizer = Tokenizer::load(folder());
  for (const Json& row : read_json(kTextData / "real_tokenizers.json")) {
    const auto text = row["text"].get<std::string>();
    const auto ids = tokenizer.encode(text);
    EXPECT_EQ(ids, row[GetParam()].get<Ids>()) << text;
    EXPECT_EQ(tokenizer.encode_with_offsets(text).ids, ids) << text;
  }
}

TEST_P(PublishedTokenizer, TextsIdsAndLabelsAreThoseOfTheReference) {
  Prompt prompt(Tokenizer::load(folder()));
  EXPECT_GE(compare_digests(prompt, read_json(kTextData / (std::string("real_") + GetParam() + ".json"))), 500);
}

INSTANTIATE_TEST_SUITE_P(Text, PublishedTokenizer, ::testing::Values("qwen3", "llama3_1"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace multimeditron
