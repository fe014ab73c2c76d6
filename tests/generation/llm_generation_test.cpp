#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "cli/program.h"
#include "generation/decoding.h"
#include "generation/generate.h"
#include "generation/parity_report.h"
#include "models/llm_case.h"

// Generation with every language-model architecture, from plain folders and from multimodal checkpoints.
namespace multimeditron {
namespace {

using testing::LlmCase;
using testing::report_parity;
using testing::run;
using testing::samples_of;

class LlmGeneration : public ::testing::TestWithParam<std::string> {
 protected:
  const LlmCase llm{GetParam()};
};

double relative(const at::Tensor& ours, const at::Tensor& theirs) {
  return (ours - theirs).abs().max().item<double>() / theirs.abs().max().item<double>();
}

TEST_P(LlmGeneration, GreedyContinuationsEqualTransformersWhereItIsSure) {
  const Pretrained pretrained = llm.load();
  double largest = 0;
  for (const Json& golden : llm.expected["continuations"]) {
    const Sample prompt = samples_of(Json::array({golden["prompt"]})).front();
    const auto expected = golden["new_ids"].get<std::vector<int64_t>>();
    GenerationOptions options;
    options.max_new_tokens = static_cast<int64_t>(expected.size());
    const Generation answer = generate(*pretrained.model, {&prompt, 1}, options).front();
    for (size_t t = 0; t < expected.size(); ++t) {
      const double margin = golden["margins"][t];
      if (margin < 1e-3) break;  // another rounding may go another way, and so does all that follows
      ASSERT_EQ(answer.ids[t], expected[t]) << t;
      largest = std::max(largest, std::abs(answer.margins[t] - margin) / std::max(1.0, margin));
    }
  }
  report_parity(llm.name, "margins of greedy decoding", largest, 1e-4);
}

TEST_P(LlmGeneration, CachedDecodingEqualsTheFullForwardPass) {
  const Pretrained pretrained = llm.load();
  MultimodalModel& model = *pretrained.model;
  const auto ids = llm.expected["input_ids"].get<std::vector<std::vector<int64_t>>>();
  for (const size_t count : {size_t{1}, size_t{8}}) {
    std::vector<std::vector<int64_t>> prompts;
    for (size_t i = 0; i < count; ++i) {  // lengths from 1 on
      const std::vector<int64_t>& text = ids[i % 2];
      prompts.emplace_back(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), 1 + 3 * i + 8 / count)));
    }
    std::vector<Sample> growing = samples_of(prompts);
    DecodingBatch batch(model, make_micro_batch(growing, 0, 0), 12);
    double largest = 0;
    for (int step = 0; step < 12; ++step) {
      const MicroBatch full = make_micro_batch(growing, 0, 0);
      const at::Tensor hidden = model.llm().forward_layers(model.embed(full, nullptr), full.layout, nullptr, false);
      std::vector<int64_t> tokens;
      for (size_t i = 0; i < count; ++i) {
        const at::Tensor expected = model.llm().logits(hidden.narrow(0, full.layout.cu_seqlens[i + 1] - 1, 1))[0];
        largest = std::max(largest, relative(batch.logits()[static_cast<int64_t>(i)], expected));
        tokens.push_back((step * 7 + static_cast<int64_t>(i) * 5) % 60);  // whatever comes, it has to be read right
        growing[i].text.input_ids.push_back(tokens.back());
        growing[i].text.labels.push_back(-100);
      }
      batch.append(tokens);
    }
    report_parity(llm.name, fmt::format("cached against full logits, batch {}", count), largest, 1e-5);
  }
}

/// The attention that a report shows: of a window's outside it sees nothing.
TEST_P(LlmGeneration, TheLastPositionsAttentionSumsToOneWithinItsWindow) {
  const Pretrained pretrained = llm.load();
  MultimodalModel& model = *pretrained.model;
  const std::vector<Sample> samples = samples_of(Json::array({llm.expected["input_ids"][1]}));
  const MicroBatch batch = make_micro_batch(samples, 0, 0);
  const at::Tensor attention = model.llm().last_attention(model.embed(batch, nullptr));
  EXPECT_LT((attention.sum(-1) - 1).abs().max().item<double>(), 1e-5);
  const std::vector<int64_t>& windows = model.config().llm.layer_windows;
  for (size_t i = 0; i < windows.size(); ++i) {
    if (windows[i] == 0) continue;
    EXPECT_EQ(attention[static_cast<int64_t>(i)].narrow(-1, 0, batch.num_tokens() - windows[i]).abs().max().item<double>(), 0);
  }
}

TEST_P(LlmGeneration, ThePlainFolderAnswersAndIsInspected) {
  const auto answer =
      run({"generate", "--model", llm.folder().string(), "--max-new-tokens", "5", "--json", "what is seen in the left lung"});
  ASSERT_EQ(answer.code, 0) << answer.err;
  const Json json = Json::parse(answer.out);
  EXPECT_EQ(json["prompt_tokens"], 12);  // <|im_start|> user ... <|im_end|> <|im_start|> assistant
  EXPECT_GE(json["new_tokens"], 1);

  const auto inspected =
      run({"inspect", "--config", (LlmCase::data() / "lm_only.yaml").string(), "--index", "0,3,5", "--batch", "--gradients", "--json"},
          {"MODEL=" + llm.folder().string(), "CASE_ROOT=" + LlmCase::data().string(), "OUT=unused"});
  ASSERT_EQ(inspected.code, 0) << inspected.err;
  const Json line = Json::parse(inspected.out.substr(inspected.out.rfind("\n{") + 1));
  EXPECT_NEAR(line["loss"].get<double>(), llm.expected["loss"].get<double>(), 1e-5 * llm.expected["loss"].get<double>());
  EXPECT_EQ(line["gradients"].size(), llm.expected["gradients"].size());
  for (const auto& [name, digest] : llm.expected["gradients"].items())
    EXPECT_NEAR(line["gradients"]["model." + name].get<double>(), digest[0].get<double>(), 1e-4 * digest[0].get<double>()) << name;
}

FOR_EVERY_LLM(LlmGeneration);

}  // namespace
}  // namespace multimeditron
