#include <gtest/gtest.h>

#include "cli/program.h"
#include "generation/parity_case.h"

namespace multimeditron {
namespace {

using testing::ParityCase;
using testing::run;

struct GenerateCommandTest : ::testing::Test {
  testing::Result generate(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "generate");
    return run(arguments);
  }

  void expect_error(const std::vector<std::string>& arguments, const std::vector<std::string>& parts) {
    const auto result = generate(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    for (const std::string& part : parts)
      EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;
  }

  const ParityCase parity{"case_qwen3_clip"};
  const std::string checkpoint = "cases/qwen3_clip/checkpoint", image = "data/jsonl/images/000.png";
};

TEST_F(GenerateCommandTest, AnswersAboutImagesAsJson) {
  const auto result =
      generate({"--model", checkpoint, "--image", image, "--image", image, "--max-new-tokens", "8", "--json", "Which organ?"});
  EXPECT_EQ(result.code, 0) << result.err;
  const Json answer = Json::parse(result.out);
  EXPECT_EQ(answer["new_tokens"], answer["ids"].size());
  EXPECT_EQ(answer["margins"].size(), answer["ids"].size());
  EXPECT_LE(answer["ids"].size(), 8u);
  const Pretrained pretrained = parity.load();
  EXPECT_EQ(answer["text"], pretrained.tokenizer->decode(answer["ids"].get<std::vector<int64_t>>(), true));
  const std::string turn = "<|im_start|>user\nWhich organ?<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(answer["prompt_tokens"], pretrained.tokenizer->encode(turn).size() + 18);
  for (const char* key : {"seconds", "tokens_per_s", "first_token_s"}) EXPECT_GT(answer[key].get<double>(), 0);
}

TEST_F(GenerateCommandTest, PrintsTheAnswerAloneAndTheFiguresBesides) {
  const std::vector<std::string> arguments{"--model", checkpoint, "--image", image, "--max-new-tokens", "6", "Which organ?"};
  const auto result = generate(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  auto as_json = arguments;
  as_json.push_back("--json");
  EXPECT_EQ(result.out, Json::parse(generate(as_json).out)["text"].get<std::string>() + "\n");
  EXPECT_NE(result.err.find("tokens/s"), std::string::npos) << result.err;
}

TEST_F(GenerateCommandTest, TheSameSeedDrawsTheSameAnswer) {
  const auto ids = [&](const std::string& seed) {
    const auto result =
        generate({"--model", checkpoint, "--max-new-tokens", "12", "--temperature", "1.5", "--seed", seed, "--json", "Which organ?"});
    return Json::parse(result.out)["ids"];
  };
  const Json first = ids("1");
  EXPECT_EQ(ids("1"), first);
  EXPECT_NE(ids("2"), first);
}

TEST_F(GenerateCommandTest, APlainLanguageModelAnswersButTakesNoImages) {
  const auto result = generate({"--model", "llm/qwen3", "--max-new-tokens", "4", "--json", "Which organ?"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_LE(Json::parse(result.out)["new_tokens"].get<int>(), 4);
  expect_error({"--model", "llm/qwen3", "--image", image, "Which organ?"}, {"takes no images", "--image"});
}

TEST_F(GenerateCommandTest, MistakesAreNamed) {
  expect_error({"--model", checkpoint, "--image", "data/none.png", "?"}, {"data/none.png"});
  expect_error({"--model", checkpoint, "--image", "data/jsonl/train.jsonl", "?"}, {"train.jsonl", "unidentified"});
  expect_error({"--model", "cases/qwen3_clip/checkpiont", "?"}, {"no such checkpoint", "did you mean", "checkpoint"});
  expect_error({"--model", "nobody/nothing", "?"}, {"nobody/nothing"});
  expect_error({"--model", "vision/clip", "--image", image, "?"}, {"no language model", "a CLIP", "clip_name"});
  expect_error({"--model", "data", "?"}, {"data", "checkpoint"});
  std::string long_question;
  for (int i = 0; i < 20000; ++i) long_question += "lung ";
  expect_error({"--model", checkpoint, long_question}, {"longer than the model can read"});
}

}  // namespace
}  // namespace multimeditron
