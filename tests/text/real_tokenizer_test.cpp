#include <gtest/gtest.h>

#include "base/json.h"
#include "text/tokenizer.h"

namespace multimeditron {
namespace {

// The published tokenizers are too large for the repository: tests/reference/fetch_tokenizers.sh fetches them.
class PublishedTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(PublishedTokenizer, GivesTheIdsOfTheReferenceLibrary) {
  const auto data = std::filesystem::path(TEST_DATA);
  const auto folder = data / "../../.deps/tokenizers" / GetParam();
  if (!std::filesystem::exists(folder / "tokenizer.json")) GTEST_SKIP() << "run tests/reference/fetch_tokenizers.sh";
  const Tokenizer tokenizer = Tokenizer::load(folder);
  for (const Json& row : read_json(data / "text/real_tokenizers.json")) {
    const auto text = row["text"].get<std::string>();
    const auto ids = tokenizer.encode(text);
    EXPECT_EQ(ids, row[GetParam()].get<std::vector<int64_t>>()) << text;
    EXPECT_EQ(tokenizer.encode_with_offsets(text).ids, ids) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizer, PublishedTokenizer, testing::Values("qwen3", "llama3_1"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace multimeditron
