#include <gtest/gtest.h>

#include <algorithm>

#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "generation/parity_report.h"
#include "models/llm_case.h"
#include "models/tensors.h"
#include "run_case.h"

// Training with every language-model architecture: alone, and below an encoder.
namespace multimeditron::testing {
namespace {

class LlmTraining : public ::testing::TestWithParam<std::string> {
 protected:
  /// LM_ONLY on the texts.
  Result train(const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> command{"train", "--quiet", "--config", (LlmCase::data() / "lm_only.yaml").string()};
    command.insert(command.end(), overrides.begin(), overrides.end());
    return run(command, {"MODEL=" + llm.folder().string(), "CASE_ROOT=" + LlmCase::data().string(), "OUT=" + llm.out().string()});
  }
  std::vector<double> numbers(const char* key) const {
    std::vector<double> values;
    for (const Json& step : step_lines(llm.out() / "metrics.jsonl")) values.push_back(step.at(key));
    return values;
  }

  const LlmCase llm{GetParam()};
};

TEST_P(LlmTraining, TenStepsFollowTransformers) {
  const Result result = train();
  ASSERT_EQ(result.code, 0) << result.err;
  const Json& expected = llm.expected["trajectory"];
  report_parity(llm.name, "losses of ten steps", largest_difference(numbers("loss"), expected["losses"]), 1e-4);
  report_parity(llm.name, "gradient norms of ten steps", largest_difference(numbers("grad_norm"), expected["grad_norms"]), 1e-4);
  const SafetensorsReader reader(checkpoint_path(llm.out(), list_checkpoints(llm.out()).back()));
  double largest = 0;
  for (const auto& [name, digest] : expected["final"].items()) {
    const TensorView* view = reader.find(name);
    ASSERT_NE(view, nullptr) << name;
    const double difference = difference_from_digest(to_tensor(*view), digest);
    EXPECT_LT(difference, 1e-4) << name;
    largest = std::max(largest, difference);
  }
  report_parity(llm.name, "final parameters", largest, 1e-4);
}

TEST_P(LlmTraining, TenStepsInBf16StayAsCloseAsTheReferences) {
  double squares = 0;
  size_t count = 0;
  for (const auto& [seed, losses] : llm.expected["bf16"]["fp32_losses"].items()) {
    const std::filesystem::path out = llm.out() / seed;
    const Result result = train({"training_args.bf16=true", "training_args.seed=" + seed, "training_args.output_dir=" + out.string()});
    ASSERT_EQ(result.code, 0) << result.err;
    const std::vector<Json> steps = step_lines(out / "metrics.jsonl");
    ASSERT_EQ(steps.size(), losses.size());
    for (size_t i = 0; i < steps.size(); ++i, ++count) {
      squares += std::pow(steps[i].at("loss").get<double>() - losses[i].get<double>(), 2);
    }
  }
  // 25 % for the chance that is left: forty losses of four trajectories.
  report_parity(llm.name, "losses of ten steps in bf16 (root mean square; the bound is the reference's own)",
                std::sqrt(squares / static_cast<double>(count)), 1.25 * llm.expected["bf16"]["trajectory_deviation"].get<double>());
}

/// What is trained goes back into a folder that transformers reads: the same config, the same tensors.
TEST_P(LlmTraining, TheCheckpointIsAPlainFolderAgain) {
  ASSERT_EQ(train({"training_args.max_steps=1"}).code, 0);
  const std::filesystem::path checkpoint = checkpoint_path(llm.out(), list_checkpoints(llm.out()).back());
  const SafetensorsReader before(llm.folder()), after(checkpoint);
  std::vector<std::string> names, saved;
  for (const auto& [name, view] : before.tensors()) names.push_back(name);
  for (const auto& [name, view] : after.tensors()) saved.push_back(name);
  std::ranges::sort(names);
  std::ranges::sort(saved);
  EXPECT_EQ(saved, names);
  Json config = read_json(checkpoint / "config.json"), original = read_json(llm.folder() / "config.json");
  config.erase("dtype");
  original.erase("dtype");
  EXPECT_EQ(config, original);
}

/// With an encoder: embedding and head get a row for the attachment token, a step of END2END trains, and its checkpoint answers.
TEST_P(LlmTraining, AnEncoderIsAddedTrainedSavedAndAsked) {
  const std::filesystem::path two = std::filesystem::path(TEST_DATA) / "case_two";
  const int64_t hidden_size = read_json(llm.folder() / "config.json")["hidden_size"];
  const std::filesystem::path recipe = llm.folder() / "end2end.yaml", image = llm.folder() / "image.png";
  std::filesystem::copy_file(two / "data/jsonl/images/000.png", image);
  const std::string text = "<|reserved_special_token_0|> shows the left lung";
  write_file_atomic(llm.folder() / "images.jsonl",
                    Json({{"text", text}, {"modalities", {{{"type", "image"}, {"value", "image.png"}}}}}).dump() + "\n");
  write_file_atomic(recipe, fmt::format(R"(base_llm: {0}
attachment_token: <|reserved_special_token_0|>
tokenizer_type: qwen3
token_size: {1}
training_mode: END2END
loaders: [{{loader_type: fs-image, modality_type: image}}]
modalities: [{{model_type: meditron_clip, clip_name: {2}/vision/clip, hidden_size: {1}}}]
datasets: [{{packed_path: {0}/images.jsonl}}]
training_args: {{output_dir: {3}, max_steps: 1, learning_rate: 0.001, save_strategy: steps, per_device_train_batch_size: 1}}
)",
                                        llm.folder().string(), hidden_size, two.string(), llm.out().string()));
  const Result trained = run({"train", "--quiet", "--config", recipe.string()});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::filesystem::path checkpoint = checkpoint_path(llm.out(), list_checkpoints(llm.out()).back());
  const int64_t tokens = 63;  // 62 of the tokenizer, and the attachment token
  const SafetensorsReader before(llm.folder()), after(checkpoint);
  for (const auto& [name, view] : before.tensors()) {
    const TensorView* saved = after.find("model." + name);
    ASSERT_NE(saved, nullptr) << name;
    std::vector<int64_t> shape = view.shape;
    const bool is_table = name == "model.embed_tokens.weight" || name == "lm_head.weight";
    if (is_table) shape[0] = tokens;
    EXPECT_EQ(saved->shape, shape) << name;
    // The new row is drawn where the file has none, with the deviation that the config names (one step has moved it by at most the rate).
    if (is_table && view.shape[0] < tokens) {
      const double deviation = to_tensor(*saved)[tokens - 1].to(at::kDouble).std().item<double>();
      EXPECT_GT(deviation, 0.01) << name;
      EXPECT_LT(deviation, 0.04) << name;
    }
  }
  const Result answer =
      run({"generate", "--model", checkpoint.string(), "--image", image.string(), "--max-new-tokens", "4", "--json", "what is seen"});
  ASSERT_EQ(answer.code, 0) << answer.err;
  EXPECT_LE(Json::parse(answer.out)["new_tokens"], 4);
}

FOR_EVERY_LLM(LlmTraining);

}  // namespace
}  // namespace multimeditron::testing
