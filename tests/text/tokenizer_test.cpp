#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

const std::filesystem::path kData = std::filesystem::path(TEST_DATA) / "text";
const std::filesystem::path kCase = std::filesystem::path(TEST_DATA) / "case_qwen3_clip";
constexpr const char* kKinds[] = {"qwen3", "llama", "apertus", "apertus_old"};

/// A folder with the qwen3 tokenizer, to be broken.
void copy_tokenizer(const std::filesystem::path& folder) {
  std::filesystem::copy(kData / "qwen3", folder, std::filesystem::copy_options::recursive);
}

TEST(Tokenizer, GivesTheIdsAndTextsOfTransformers) {
  for (const char* kind : kKinds) {
    const Json golden = read_json(kData / (std::string(kind) + ".json"));
    Tokenizer tokenizer = Tokenizer::load(kData / kind);
    EXPECT_EQ(tokenizer.add_special_token(golden["attachment_token"].get<std::string>()), golden["attachment_token_id"].get<int64_t>());
    EXPECT_EQ(tokenizer.size(), golden["size"].get<int64_t>());
    for (const Json& entry : golden["texts"]) {
      const auto text = entry["text"].get<std::string>();
      const auto ids = tokenizer.encode(text, true);
      EXPECT_EQ(ids, entry["ids"].get<std::vector<int64_t>>()) << kind << ": " << text;
      EXPECT_EQ(tokenizer.decode(ids, true), entry["decoded"].get<std::string>()) << kind << ": " << text;
    }
  }
}

TEST(Tokenizer, OffsetsCoverTheTextBlanksIncluded) {
  const Tokenizer tokenizer = Tokenizer::load(kData / "llama");
  const std::string text = "<|eot_id|>  lung \n\n cyst<|eot_id|>";
  const TokensWithOffsets tokens = tokenizer.encode_with_offsets(text);
  EXPECT_EQ(tokens.ids, tokenizer.encode(text));
  size_t at = 0;
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    EXPECT_EQ(tokens.starts[i], at);
    at = tokens.ends[i];
  }
  EXPECT_EQ(at, text.size());
}

TEST(Tokenizer, AnAddedTokenTakesTheNextId) {
  Tokenizer tokenizer = Tokenizer::load(kCase / "llm/qwen3");
  ASSERT_EQ(tokenizer.size(), 697);
  EXPECT_EQ(tokenizer.add_special_token("<|reserved_special_token_0|>"), 697);
  EXPECT_EQ(tokenizer.add_special_token("<|reserved_special_token_0|>"), 697);
  EXPECT_EQ(tokenizer.size(), 698);
  EXPECT_TRUE(tokenizer.is_special(697));
  EXPECT_EQ(tokenizer.token(697), "<|reserved_special_token_0|>");
  EXPECT_EQ(tokenizer.encode("a<|reserved_special_token_0|>b"), (std::vector<int64_t>{64, 697, 65}));
}

TEST(Tokenizer, TheLargestIdIsKnownWhereIdsHaveHoles) {
  EXPECT_EQ(Tokenizer::load(kCase / "llm/qwen3").max_id(), 696);
  TemporaryFolder folder;
  write_file_atomic(
      folder / "tokenizer.json",
      R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
                        "post_processor": null, "decoder": null,
                        "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 9}, "unk_token": "a"}})");
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer.size(), 2);
  EXPECT_EQ(tokenizer.max_id(), 9);
}

TEST(Tokenizer, APresentTokenKeepsItsId) {
  Tokenizer tokenizer = Tokenizer::load(kData / "llama");
  const auto size = tokenizer.size();
  EXPECT_EQ(tokenizer.add_special_token("<|reserved_special_token_0|>"), tokenizer.token_id("<|reserved_special_token_0|>"));
  EXPECT_EQ(tokenizer.size(), size);
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const Tokenizer tokenizer = Tokenizer::load(kCase / "cases/qwen3_clip/checkpoint");
  EXPECT_EQ(tokenizer.eos_token_id(), 692);
  EXPECT_EQ(tokenizer.pad_token_id(), 692);
  EXPECT_EQ(tokenizer.bos_token_id(), std::nullopt);
  EXPECT_EQ(tokenizer.token_id("<|reserved_special_token_0|>"), 697);
  EXPECT_FALSE(tokenizer.is_special(64));
  EXPECT_EQ(tokenizer.token_id("no such token"), std::nullopt);
  EXPECT_USER_ERROR(tokenizer.token(100000), "100000", "698");
}

TEST(Tokenizer, SavedAndLoadedItIsTheSame) {
  for (const char* kind : kKinds) {
    Tokenizer tokenizer = Tokenizer::load(kData / kind);
    tokenizer.add_special_token("<|reserved_special_token_0|>");
    TemporaryFolder folder;
    tokenizer.save(folder / "first");
    const Tokenizer loaded = Tokenizer::load(folder / "first");
    loaded.save(folder / "second");
    for (const char* file : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"})
      EXPECT_EQ(read_file(folder / "first" / file), read_file(folder / "second" / file)) << kind << ", " << file;
    EXPECT_EQ(read_file(folder / "first/chat_template.jinja"), read_file(kData / kind / "chat_template.jinja"));
    EXPECT_EQ(loaded.size(), tokenizer.size());
    EXPECT_EQ(loaded.eos_token_id(), tokenizer.eos_token_id());
    const std::string text = "x <|reserved_special_token_0|>\nGröße <SPECIAL_65> <|im_end|> <|eot_id|>";
    EXPECT_EQ(loaded.encode(text, true), tokenizer.encode(text, true));
    const std::vector<Message> messages = {{"user", "lung?"}, {"assistant", "Normal."}};
    EXPECT_EQ(loaded.apply_chat_template(messages, true, "2026-11-25"), tokenizer.apply_chat_template(messages, true, "2026-11-25"));
  }
}

TEST(Tokenizer, TheChatTemplateMayStandInTheConfig) {
  const Tokenizer tokenizer = Tokenizer::load(kCase / "llm/qwen3");
  EXPECT_EQ(tokenizer.apply_chat_template(std::vector<Message>{{"user", "Hi"}}, true),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  TemporaryFolder folder;
  tokenizer.save(folder.path());
  EXPECT_FALSE(read_json(folder / "tokenizer_config.json").contains("chat_template"));
  EXPECT_TRUE(Tokenizer::load(folder.path()).has_chat_template());
}

TEST(Tokenizer, NamesInTheConfigThatAreNoTextsArePassedOver) {
  TemporaryFolder folder;
  copy_tokenizer(folder / "t");
  std::filesystem::remove(folder / "t/chat_template.jinja");
  write_file_atomic(folder / "t/tokenizer_config.json", R"({"tokenizer_class": null, "chat_template": [
      {"name": null, "template": "no"}, {"name": "default", "template": "yes"}, {"name": 1, "template": "no"}]})");
  const Tokenizer tokenizer = Tokenizer::load(folder / "t");
  EXPECT_EQ(tokenizer.apply_chat_template(std::vector<Message>{{"user", "Hi"}}, true), "yes");
  tokenizer.save(folder / "saved");
  EXPECT_EQ(read_json(folder / "saved/tokenizer_config.json")["tokenizer_class"], "PreTrainedTokenizerFast");
}

TEST(Tokenizer, ReadsTokensThatOnlyTheConfigNames) {
  TemporaryFolder folder;
  copy_tokenizer(folder / "t");
  write_file_atomic(folder / "t/tokenizer_config.json", R"({"eos_token": {"content": "<|im_end|>", "lstrip": false},
      "pad_token": "<|pad|>", "additional_special_tokens": ["<|a|>", {"content": "<|b|>"}],
      "added_tokens_decoder": {"346": {"content": "<tool>", "special": false}, "345": {"content": "<|box|>", "special": true}}})");
  write_file_atomic(folder / "t/special_tokens_map.json", R"({"bos_token": "<|im_start|>", "eos_token": "<|endoftext|>"})");
  const Tokenizer tokenizer = Tokenizer::load(folder / "t");
  EXPECT_EQ(tokenizer.token_id("<|box|>"), 345);
  EXPECT_EQ(tokenizer.token_id("<tool>"), 346);
  EXPECT_TRUE(tokenizer.is_special(345));
  EXPECT_FALSE(tokenizer.is_special(346));
  for (const char* token : {"<|pad|>", "<|a|>", "<|b|>"}) EXPECT_EQ(tokenizer.encode(token).size(), 1u) << token;
  EXPECT_EQ(tokenizer.size(), 350);
  EXPECT_EQ(tokenizer.eos_token_id(), tokenizer.token_id("<|im_end|>"));
  EXPECT_EQ(tokenizer.bos_token_id(), tokenizer.token_id("<|im_start|>"));
}

TEST(Tokenizer, WritesWhatBothTransformersVersionsRead) {
  Tokenizer tokenizer = Tokenizer::load(kCase / "cases/qwen3_clip/checkpoint");
  TemporaryFolder folder;
  tokenizer.save(folder.path());
  const Json config = read_json(folder / "tokenizer_config.json");
  // transformers 4 stops at a list under extra_special_tokens and at the class TokenizersBackend
  EXPECT_FALSE(config.contains("extra_special_tokens"));
  EXPECT_EQ(config["additional_special_tokens"], Json({"<|reserved_special_token_0|>"}));
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_EQ(read_json(folder / "special_tokens_map.json")["eos_token"], "<|im_end|>");
}

TEST(Tokenizer, AMissingOrBrokenFileIsNamed) {
  TemporaryFolder folder;
  EXPECT_USER_ERROR(Tokenizer::load(folder.path()), "tokenizer.json", "fix:");
  copy_tokenizer(folder / "t");
  write_file_atomic(folder / "t/tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": 1}}");
  EXPECT_USER_ERROR(Tokenizer::load(folder / "t"), "tokenizer_config.json", "added_tokens_decoder.x");
  write_file_atomic(folder / "t/tokenizer_config.json", "[]");
  EXPECT_USER_ERROR(Tokenizer::load(folder / "t"), "tokenizer_config.json", "expected an object");
  write_file_atomic(folder / "t/tokenizer_config.json", "{}");
  write_file_atomic(folder / "t/chat_template.jinja", "line\n{% if %}");
  EXPECT_USER_ERROR(Tokenizer::load(folder / "t"), "chat_template.jinja", "line 2");
  const std::string json = read_file(folder / "t/tokenizer.json");
  write_file_atomic(folder / "t/tokenizer.json", json.substr(0, json.size() / 2));
  EXPECT_USER_ERROR(Tokenizer::load(folder / "t"), "tokenizer.json", "fix:");
}

TEST(Tokenizer, ATemplateIsNeededOnlyForConversations) {
  TemporaryFolder folder;
  copy_tokenizer(folder / "t");
  std::filesystem::remove(folder / "t/chat_template.jinja");
  const Tokenizer tokenizer = Tokenizer::load(folder / "t");
  EXPECT_FALSE(tokenizer.has_chat_template());
  EXPECT_USER_ERROR(tokenizer.apply_chat_template(std::vector<Message>{{"user", "Hi"}}, false), (folder / "t").string(),
                    "chat_template.jinja", "Instruct");
}

TEST(Tokenizer, TheTemplatesOwnComplaintReachesTheUser) {
  const Tokenizer tokenizer = Tokenizer::load(kData / "llama");
  EXPECT_USER_ERROR(tokenizer.apply_chat_template(std::vector<Message>{{"wizard", "Hi"}}, false), "unknown role wizard",
                    "chat_template.jinja");
}

TEST(Tokenizer, AComplaintDoesNotQuoteTheMessage) {
  TemporaryFolder folder;
  copy_tokenizer(folder / "t");
  write_file_atomic(folder / "t/chat_template.jinja", "{{ raise_exception('bad content: ' + messages[0].content + '!') }}");
  const Tokenizer tokenizer = Tokenizer::load(folder / "t");
  EXPECT_USER_ERROR(tokenizer.apply_chat_template(std::vector<Message>{{"user", "Mr Smith"}}, false), "bad content: ...!");
}

TEST(Tokenizer, AHostileTemplateIsStopped) {
  TemporaryFolder folder;
  copy_tokenizer(folder / "t");
  for (const char* source : {"{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}",
                             "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"}) {
    write_file_atomic(folder / "t/chat_template.jinja", source);
    const Tokenizer tokenizer = Tokenizer::load(folder / "t");
    EXPECT_USER_ERROR(tokenizer.apply_chat_template(std::vector<Message>{{"user", "Hi"}}, false), "more work", "chat_template.jinja");
  }
}

TEST(Tokenizer, LongConversationsAreNotTakenForHostile) {
  const std::string page(200000, 'x');
  for (const char* kind : kKinds) {
    const Tokenizer tokenizer = Tokenizer::load(kData / kind);
    std::vector<Message> messages(400, Message{"user", "lung?"});
    messages.push_back({"assistant", page});
    EXPECT_GT(tokenizer.apply_chat_template(messages, true, "2026-11-25").size(), page.size() + 400 * 5) << kind;
  }
}

TEST(Tokenizer, ManyThreadsMayShareIt) {
  const Tokenizer tokenizer = Tokenizer::load(kData / "llama");
  const std::vector<Message> messages = {{"user", "Is the lung normal?"}, {"assistant", "No nodule."}};
  const std::string text = tokenizer.apply_chat_template(messages, true, "2026-11-25");
  const auto ids = tokenizer.encode(text);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i)
          wrong += tokenizer.apply_chat_template(messages, true, "2026-11-25") != text || tokenizer.encode(text) != ids;
      });
  }
  EXPECT_EQ(wrong, 0);
}

TEST(Tokenizer, BytesThatAreNotUtf8AreRefused) {
  const Tokenizer tokenizer = Tokenizer::load(kData / "qwen3");
  EXPECT_USER_ERROR(tokenizer.encode("ab\xff"), "UTF-8", "byte 2");
  EXPECT_USER_ERROR(tokenizer.apply_chat_template(std::vector<Message>{{"user", "\xc3"}}, false), "UTF-8");
}

TEST(Tokenizer, TheDateOfATemplateIsTheGivenOne) {
  const Tokenizer tokenizer = Tokenizer::load(kData / "llama");
  const std::vector<Message> messages = {{"user", "Hi"}};
  EXPECT_NE(tokenizer.apply_chat_template(messages, false, "2024-02-29").find("Today: 29 Feb 2024\n"), std::string::npos);
  EXPECT_NE(tokenizer.apply_chat_template(messages, false).find("Today: "), std::string::npos);
}

TEST(TrainByteLevelBpe, MakesAChatTokenizerThatLosesNoByte) {
  const std::vector<std::string> texts = {"The lung shows a nodule.", "The liver shows a cyst, the lung is normal."};
  TemporaryFolder folder;
  train_byte_level_bpe(texts, 290, folder / "a");
  train_byte_level_bpe(texts, 290, folder / "b");
  EXPECT_EQ(read_file(folder / "a/tokenizer.json"), read_file(folder / "b/tokenizer.json"));
  const Tokenizer tokenizer = Tokenizer::load(folder / "a");
  EXPECT_EQ(tokenizer.size(), 290);
  EXPECT_EQ(tokenizer.eos_token_id(), tokenizer.token_id("<|im_end|>"));
  EXPECT_EQ(tokenizer.pad_token_id(), tokenizer.token_id("<|endoftext|>"));
  const std::string text = "Größe 肺 👩‍⚕️\t<|im_start|>";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_EQ(tokenizer.apply_chat_template(std::vector<Message>{{"user", "Hi"}, {"assistant", "Ho"}}, false),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n");
  EXPECT_USER_ERROR(train_byte_level_bpe(texts, 100, folder / "c"), "vocab_size is 100", "259");
}

}  // namespace
}  // namespace multimeditron
