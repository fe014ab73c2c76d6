#include <gtest/gtest.h>

#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "models/multimodal/pretrained.h"
#include "models/tensors.h"
#include "trajectory.h"

namespace multimeditron::testing {
namespace {

struct Case {
  std::string name, recipe, mode;
};

class TrainingParity : public ::testing::TestWithParam<Case> {};

/// Losses, norms, rates, order and final parameters of a recipe against the trajectory that transformers computed.
TEST_P(TrainingParity, FollowsTheReferenceStepByStep) {
  const Case& c = GetParam();
  const TemporaryFolder out;
  const Result result = train_case(c.name, c.recipe, out.path(), {"logging_level=micro", "training_args.save_strategy=steps"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json expected = read_json(std::filesystem::path(TEST_DATA) / c.name / "cases/qwen3_clip/expected.json").at("trajectory").at(c.mode);

  report_trajectory(c.name, c.mode, out / c.recipe / "metrics.jsonl", expected);

  const SafetensorsReader reader(checkpoint_path(out / c.recipe, list_checkpoints(out / c.recipe).back()));
  double largest = 0;
  for (const auto& [name, parameter] : expected.at("final_parameters").items()) {
    const TensorView* view = reader.find(name);
    ASSERT_NE(view, nullptr) << name;
    const at::Tensor tensor = to_tensor(*view).to(at::kDouble).flatten();
    const double norm = tensor.norm().item<double>();
    largest = std::max(largest, std::abs(norm - parameter.at("norm").get<double>()) / norm);
    const double scale = tensor.abs().max().item<double>();
    for (size_t i = 0; i < parameter.at("first").size(); ++i) {
      largest =
          std::max(largest, std::abs(tensor[static_cast<int64_t>(i)].item<double>() - parameter.at("first")[i].get<double>()) / scale);
    }
  }
  report_parity(c.name, c.mode + " final parameters", largest, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Cases, TrainingParity,
                         ::testing::Values(Case{"case_qwen3_clip", "alignment", "ALIGNMENT"}, Case{"case_qwen3_clip", "end2end", "END2END"},
                                           Case{"case_two", "alignment", "ALIGNMENT"}, Case{"case_two", "end2end", "END2END"},
                                           Case{"case_two", "full", "FULL"}, Case{"case_two", "lm_only", "LM_ONLY"},
                                           Case{"case_biomedclip", "alignment", "ALIGNMENT"}, Case{"case_biomedclip", "end2end", "END2END"},
                                           Case{"case_biomedclip", "full", "FULL"}),
                         [](const auto& info) { return info.param.name + "_" + info.param.recipe; });

/// In bf16 our losses may differ from float32 by no more than the reference's own do.
TEST(Bf16Parity, StaysWithinTheReferencesSpread) {
  const Json reference = read_json(std::filesystem::path(TEST_DATA) / "bf16_reference.json");
  for (const char* name : {"case_qwen3_clip", "case_two", "case_biomedclip"}) {
    const TemporaryFolder out;
    const Result result = train_case(name, "end2end", out.path(), {"training_args.bf16=true"});
    ASSERT_EQ(result.code, 0) << result.err;
    const Json& expected = reference.at(name);
    const auto fp32 = expected.at("fp32").at("step_losses").get<std::vector<double>>();
    const auto bf16 = expected.at("bf16").at("step_losses").get<std::vector<double>>();
    std::vector<double> ours;
    for (const Json& step : step_lines(out / "end2end" / "metrics.jsonl")) ours.push_back(step.at("loss"));
    double spread = 0, largest = 0;
    for (size_t i = 0; i < fp32.size(); ++i) {
      spread = std::max(spread, std::abs(bf16[i] - fp32[i]));
      largest = std::max(largest, std::abs(ours.at(i) - fp32[i]));
    }
    report_parity(name, "END2END losses of steps in bf16 (absolute; the bound is the reference's own spread)", largest, spread);
  }
}

TEST(GradientCheckpointing, ChangesNoBit) {
  const TemporaryFolder out;
  for (const char* checkpointing : {"true", "false"}) {
    const Result result = train_case("case_two", "full", out / checkpointing,
                                     {std::string("training_args.gradient_checkpointing=") + checkpointing, "training_args.max_steps=4"});
    ASSERT_EQ(result.code, 0) << result.err;
  }
  const auto a = step_lines(out.path() / "true/full/metrics.jsonl"), b = step_lines(out.path() / "false/full/metrics.jsonl");
  ASSERT_EQ(a.size(), 4U);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].at("loss"), b[i].at("loss"));
    EXPECT_EQ(a[i].at("grad_norm"), b[i].at("grad_norm"));
  }
}

}  // namespace
}  // namespace multimeditron::testing
