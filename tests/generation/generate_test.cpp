#include "generation/generate.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <memory>

#include "data/dataset.h"
#include "generation/decoding.h"
#include "generation/parity_case.h"
#include "generation/parity_report.h"

namespace multimeditron {
namespace {

using testing::kParityCases;
using testing::ParityCase;

/// A case's model and the prompts of its goldens: each sample's messages up to the first answer.
struct Prompts {
  explicit Prompts(const std::string& name) : parity(name), pretrained(parity.load()), dataset(open_dataset(parity.root / "data/arrow")) {
    const ModelConfig& config = pretrained.model->config();
    PromptOptions options;
    options.attachment_token = config.attachment_token;
    options.attachment_token_id = config.attachment_token_id;
    options.embeddings_per_image = pretrained.model->embeddings_per_image();
    options.chat_format = find_chat_format(*pretrained.tokenizer, TokenizerType::kQwen3, options.label_mask, "");
    const SampleBuilder builder(*dataset, *pretrained.tokenizer, options, {{.loader_type = "raw-image"}},
                                config.modalities.front().processor);
    for (const Json& golden : parity.expected["generation"]) {
      Sample sample = builder.build(golden["sample"]);
      auto messages = dataset->row(golden["sample"]).conversations;
      messages.resize(golden["messages"]);
      sample.text = encode_conversation(*pretrained.tokenizer, messages, options, true);
      sample.images.resize(golden["images"].get<size_t>());
      samples.push_back(std::move(sample));
    }
  }

  MultimodalModel& model() { return *pretrained.model; }

  ParityCase parity;
  Pretrained pretrained;
  std::unique_ptr<Dataset> dataset;
  std::vector<Sample> samples;
};

GenerationOptions greedy(int64_t max_new_tokens) {
  return {.max_new_tokens = max_new_tokens, .sampling = {}, .stop_ids = {}};
}

double relative(const at::Tensor& ours, const at::Tensor& theirs) {
  return (ours - theirs).abs().max().item<double>() / theirs.abs().max().item<double>();
}

TEST(Generation, GreedyAnswersEqualTheReferenceWhereItIsSure) {
  for (const char* name : kParityCases) {
    Prompts prompts(name);
    double margins = 0;
    for (size_t i = 0; i < prompts.samples.size(); ++i) {
      const Json& golden = prompts.parity.expected["generation"][i];
      ASSERT_EQ(prompts.samples[i].text.input_ids, golden["prompt_ids"].get<std::vector<int64_t>>());
      const auto new_ids = golden["new_ids"].get<std::vector<int64_t>>();
      const auto result = generate(prompts.model(), {&prompts.samples[i], 1}, greedy(static_cast<int64_t>(new_ids.size())))[0];
      bool sure = true;
      for (size_t t = 0; t < new_ids.size() && sure; ++t) {
        const auto margin = golden["top1_minus_top2"][t].get<double>();
        sure = margin >= 1e-3;  // below, another rounding may go another way, and so does all that follows
        if (!sure) break;
        ASSERT_EQ(result.ids[t], new_ids[t]) << name << ", sample " << golden["sample"] << ", step " << t;
        margins = std::max(margins, std::abs(result.margins[t] - margin) / std::max(1.0, margin));
      }
      if (sure) {
        EXPECT_EQ(prompts.pretrained.tokenizer->decode(result.ids), golden["text"].get<std::string>());
      }
    }
    testing::report_parity(name, "margins of greedy decoding", margins, 1e-4);
  }
}

TEST(Generation, CachedDecodingEqualsTheFullForwardPass) {
  for (const char* name : kParityCases) {
    Prompts prompts(name);
    MultimodalModel& model = prompts.model();
    const int64_t size = model.image_size();
    // Eight prompts of mixed lengths, some twice; and one alone.
    std::vector<Sample> eight;
    for (size_t i = 0; i < 8; ++i) eight.push_back(prompts.samples[i % prompts.samples.size()]);
    for (const size_t count : {size_t{1}, size_t{8}}) {
      std::vector<Sample> growing(eight.begin(), eight.begin() + static_cast<std::ptrdiff_t>(count));
      DecodingBatch batch(model, make_micro_batch(growing, size, size), 12);
      double largest = 0;
      for (int step = 0; step < 12; ++step) {
        const MicroBatch full = make_micro_batch(growing, size, size);
        const at::Tensor hidden = model.llm().forward_layers(model.embed(full, nullptr), full.layout, nullptr, false);
        std::vector<int64_t> tokens;
        for (size_t i = 0; i < count; ++i) {
          const at::Tensor expected = model.llm().logits(hidden.narrow(0, full.layout.cu_seqlens[i + 1] - 1, 1))[0];
          const at::Tensor ours = batch.logits()[static_cast<int64_t>(i)];
          largest = std::max(largest, relative(ours, expected));
          ASSERT_EQ(ours.argmax().item<int64_t>(), expected.argmax().item<int64_t>());
          tokens.push_back(expected.argmax().item<int64_t>());
          growing[i].text.input_ids.push_back(tokens.back());
          growing[i].text.labels.push_back(-100);
        }
        batch.append(tokens);
      }
      testing::report_parity(name, fmt::format("cached against full logits, batch {}", count), largest, 1e-5);
    }
  }
}

TEST(Generation, TheCacheGrowsInStepsAndKeepsWhatItHolds) {
  Prompts prompts("case_qwen3_clip");
  // Past the first step of the cache and past the first rotary table: by then one prompt has left, so rows move.
  std::vector<Sample> growing(prompts.samples.begin(), prompts.samples.begin() + 2);
  MultimodalModel& model = prompts.model();
  const int64_t size = model.image_size();
  DecodingBatch batch(model, make_micro_batch(growing, size, size), 900);
  const int64_t first_capacity = batch.capacity();
  EXPECT_LT(first_capacity, 900);
  for (int step = 0; step < 700; ++step) {
    const int64_t id = step % 600;
    if (step < 5) {
      batch.append(std::vector<int64_t>{id, id});
    } else if (step == 5) {
      batch.append(std::vector<int64_t>{-1, id});
    } else {
      batch.append(std::vector<int64_t>{id});
    }
    growing[1].text.input_ids.push_back(id);
    growing[1].text.labels.push_back(-100);
  }
  EXPECT_EQ(batch.sequences(), std::vector<int64_t>{1});
  EXPECT_GT(batch.capacity(), first_capacity);
  EXPECT_LE(batch.capacity(), static_cast<int64_t>(prompts.samples[0].text.input_ids.size()) + 900);
  const MicroBatch full = make_micro_batch({&growing[1], 1}, size, size);
  const at::Tensor hidden = model.llm().forward_layers(model.embed(full, nullptr), full.layout, nullptr, false);
  EXPECT_LT(relative(batch.logits(), model.llm().logits(hidden.narrow(0, full.num_tokens() - 1, 1))), 1e-5);
}

TEST(Generation, AnswersInABatchEqualThoseAlone) {
  Prompts prompts("case_two");
  for (const double temperature : {0.0, 0.8}) {
    GenerationOptions options = greedy(20);
    options.sampling = {.temperature = temperature, .top_k = 40, .top_p = 0.95, .seed = 7};
    // Ends some sequences early, so that the others go on in a smaller batch.
    options.stop_ids = {prompts.parity.expected["generation"][0]["new_ids"][5].get<int64_t>()};
    const auto together = generate(prompts.model(), prompts.samples, options);
    for (size_t i = 0; i < prompts.samples.size(); ++i) {
      const auto alone = generate(prompts.model(), {&prompts.samples[i], 1}, options)[0];
      EXPECT_EQ(together[i].ids, alone.ids) << "prompt " << i << ", temperature " << temperature;
      EXPECT_EQ(together[i].stopped, alone.stopped);
      EXPECT_EQ(together[i].ids.size(), together[i].margins.size());
    }
  }
}

TEST(Generation, AStopTokenEndsASequenceAndIsReported) {
  Prompts prompts("case_qwen3_clip");
  const auto reference = generate(prompts.model(), prompts.samples, greedy(16));
  GenerationOptions options = greedy(16);
  options.stop_ids = {reference[1].ids[8]};
  std::vector<std::vector<int64_t>> streamed(prompts.samples.size());
  const auto results =
      generate(prompts.model(), prompts.samples, options, [&](size_t prompt, int64_t id) { streamed[prompt].push_back(id); });
  EXPECT_TRUE(results[1].stopped);
  EXPECT_EQ(results[1].ids, std::vector<int64_t>(reference[1].ids.begin(), reference[1].ids.begin() + 9));
  EXPECT_FALSE(results[0].stopped);
  EXPECT_EQ(results[0].ids, reference[0].ids);
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(streamed[i], results[i].ids);
}

/// A prompt that nearly fills the model's positions does not shorten its neighbours' answers.
TEST(Generation, EachSequenceMayGoOnToTheModelsLastPosition) {
  Prompts prompts("case_two");
  const auto free = generate(prompts.model(), prompts.samples, greedy(20));
  size_t longest = 0;
  for (const Sample& sample : prompts.samples) longest = std::max(longest, sample.text.input_ids.size());
  const auto positions = static_cast<int64_t>(longest) + 3;
  const_cast<ModelConfig&>(prompts.model().config()).llm.max_position_embeddings = positions;
  const auto bound = generate(prompts.model(), prompts.samples, greedy(20));
  bool some_shorter = false, some_whole = false;
  for (size_t i = 0; i < bound.size(); ++i) {
    const int64_t room = positions - static_cast<int64_t>(prompts.samples[i].text.input_ids.size());
    const auto expected = static_cast<size_t>(std::min<int64_t>(20, room));
    ASSERT_EQ(bound[i].ids.size(), expected);
    EXPECT_TRUE(std::equal(bound[i].ids.begin(), bound[i].ids.end(), free[i].ids.begin())) << i;
    (expected < 20 ? some_shorter : some_whole) = true;
  }
  EXPECT_TRUE(some_shorter);
  EXPECT_TRUE(some_whole) << "the case's prompts are too much alike";
  EXPECT_EQ(generate(prompts.model(), prompts.samples, greedy(INT64_MAX / 2)).size(), prompts.samples.size());
}

TEST(Generation, NothingIsGeneratedWhereNothingIsAsked) {
  Prompts prompts("case_qwen3_clip");
  EXPECT_TRUE(generate(prompts.model(), {}, greedy(4)).empty());
  EXPECT_TRUE(generate(prompts.model(), prompts.samples, greedy(0))[0].ids.empty());
}

}  // namespace
}  // namespace multimeditron
