#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <map>

#include "checkpoint/folder.h"
#include "data/dataset.h"
#include "models/batch.h"
#include "models/multimodal/mixture_modality.h"
#include "models/multimodal/pretrained.h"
#include "models/tensors.h"
#include "training/mixture_case.h"
#include "trajectory.h"

// Every kind of mixture against compositions of transformers, torchvision and torch (tests/reference/mixture_goldens.py).
namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

double difference(const at::Tensor& ours, const Json& stated) {
  return difference_from_stated(ours, stated[0].get<double>(), stated[1].get<double>());
}

/// A model and the micro-batch of the goldens.
struct Loaded {
  explicit Loaded(const Mixture& mixture) {
    write_mixture_checkpoint(mixture, folder.path());
    pretrained = load_checkpoint(folder.path(), at::kFloat);
    const ModelConfig& config = pretrained.model->config();
    dataset = open_dataset(fs::path(TEST_DATA) / "case_two/data/arrow");
    PromptOptions options;
    options.attachment_token = config.attachment_token;
    options.attachment_token_id = config.attachment_token_id;
    options.embeddings_per_image = pretrained.model->embeddings_per_image();
    options.chat_format = find_chat_format(*pretrained.tokenizer, TokenizerType::kQwen3, options.label_mask, "");
    const SampleBuilder builder(*dataset, *pretrained.tokenizer, options, {{.loader_type = "raw-image"}},
                                config.modalities.front().processor);
    std::vector<Sample> samples;
    for (const int64_t row : mixture_golden()["batch"]) samples.push_back(builder.build(row));
    batch = make_micro_batch(samples, pretrained.model->image_size(), pretrained.model->image_size());
  }

  MultimodalModel& model() const { return *pretrained.model; }
  Modality& modality() const { return *model().modalities().front(); }
  /// One row an image of the batch, as the reference has them.
  at::Tensor by_image(const at::Tensor& by_distinct_image) const {
    return by_distinct_image.index_select(0, at::tensor(batch.image_of, at::kLong));
  }

  TemporaryFolder folder;
  Pretrained pretrained;
  std::unique_ptr<Dataset> dataset;
  MicroBatch batch;
};

class MixtureParity : public ::testing::TestWithParam<Mixture> {};

TEST_P(MixtureParity, FeaturesEmbeddingsLossAndEveryGradient) {
  const Mixture& mixture = GetParam();
  const Json& golden = mixture_golden();
  const Json& expected = golden["mixtures"][mixture.name()];
  const Loaded loaded(mixture);
  const std::string name = "mixture " + mixture.name();
  ASSERT_EQ(loaded.model().embeddings_per_image(), expected["embeddings_per_image"]);

  const at::Tensor features = loaded.by_image(loaded.modality().features(loaded.batch.pixel_values));
  report_parity(name, "features of every expert", difference(features, golden["features_" + mixture.kind]["stated"]), 1e-5);
  if (mixture.behaviour != "original") {
    const auto& gate = dynamic_cast<const MixtureModality&>(loaded.modality());
    const at::Tensor weights = loaded.by_image(gate.gate_weights(loaded.batch.pixel_values));
    double largest = 0;
    for (int64_t n = 0; n < weights.size(0); ++n)
      for (int64_t e = 0; e < weights.size(1); ++e)
        largest = std::max(largest, std::abs(weights[n][e].item<double>() -
                                             golden["gate_weights"][static_cast<size_t>(n)][static_cast<size_t>(e)].get<double>()));
    report_parity(name, "weights of the gate", largest, 1e-5);
  }
  const at::Tensor projected = loaded.by_image(loaded.modality().forward(loaded.batch.pixel_values, nullptr));
  ASSERT_EQ(projected.sizes().vec(), expected["projected"]["shape"].get<std::vector<int64_t>>());
  double largest = difference(projected, expected["projected"]["stated"]);
  const double scale = projected.abs().max().item<double>();
  for (size_t i = 0; i < 8; ++i) {
    const double ours = projected.flatten()[static_cast<int64_t>(i)].item<double>();
    largest = std::max(largest, std::abs(ours - expected["projected"]["first"][i].get<double>()) / scale);
  }
  report_parity(name, "projected embeddings", largest, 1e-5);

  CausalLm& llm = loaded.model().llm();
  const at::Tensor hidden = llm.forward_layers(loaded.model().embed(loaded.batch, nullptr), loaded.batch.layout, nullptr, false);
  std::vector<int64_t> ends;
  for (size_t s = 1; s < loaded.batch.layout.cu_seqlens.size(); ++s) ends.push_back(loaded.batch.layout.cu_seqlens[s] - 1);
  const at::Tensor logits = llm.logits(hidden.index_select(0, at::tensor(ends, at::kLong)));
  report_parity(name, "logits of each sample's last position", difference(logits, expected["last_logits"]), 1e-5);

  loaded.model().set_training_mode(TrainingMode::kFull, at::kFloat);
  const double mean = 1.0 / static_cast<double>(loaded.batch.num_labels());
  const double loss = loaded.model().forward_backward(loaded.batch, mean, false).sum * mean;
  report_parity(name, "loss", std::abs(loss - expected["loss"].get<double>()) / expected["loss"].get<double>(), 1e-5);

  std::map<std::string, const Parameter*> parameters;
  for (const Parameter* parameter : loaded.model().parameters()) parameters[parameter->name] = parameter;
  double total = 0;
  for (const Json& each : expected["gradients"]) total += each[1].get<double>() * each[1].get<double>();
  total = std::sqrt(total);
  largest = 0;
  size_t reached = 0;
  for (const Json& each : expected["gradients"]) {
    const std::string tensor = golden["tensors"][each[0].get<size_t>()];
    ASSERT_TRUE(parameters.contains(tensor)) << tensor;
    ASSERT_TRUE(parameters[tensor]->is_trained) << tensor;
    ++reached;
    const double norm = each[1];
    if (norm < 1e-6 * total) {
      EXPECT_LT(parameters[tensor]->grad.norm().item<double>(), 1e-6 * total) << tensor;
      continue;
    }
    largest = std::max(largest, difference_from_stated(parameters[tensor]->grad, norm, each[2].get<double>()));
  }
  report_parity(name, "every gradient, FULL", largest, 1e-4);
  // What the reference gives no gradient gets none here.
  for (const auto& [tensor, parameter] : parameters) {
    const bool is_known = std::any_of(expected["gradients"].begin(), expected["gradients"].end(), [&, &tensor = tensor](const Json& each) {
      return golden["tensors"][each[0].get<size_t>()] == tensor;
    });
    if (is_known || !parameter->is_trained) continue;
    ensure_gradient(*parameter->bucket);
    EXPECT_EQ(parameter->grad.abs().max().item<double>(), 0) << tensor;
  }
  EXPECT_GT(reached, 60U);
}

std::vector<Mixture> every_behaviour() {
  std::vector<Mixture> mixtures;
  for (const Mixture& each : all_mixtures()) {
    mixtures.push_back(each);
    mixtures.push_back({each.kind, each.fusion, "original"});
    if (each.fusion != "sequence_append") mixtures.push_back({each.kind, each.fusion, "top_k"});
  }
  return mixtures;
}

INSTANTIATE_TEST_SUITE_P(Mixtures, MixtureParity, ::testing::ValuesIn(every_behaviour()),
                         [](const auto& info) { return info.param.test_name(); });

class MixtureTraining : public ::testing::TestWithParam<Mixture> {};

TEST_P(MixtureTraining, FollowsTheReferenceForTenSteps) {
  const Mixture& mixture = GetParam();
  const Json& golden = mixture_golden();
  const Json& case_golden = golden["mixtures"][mixture.name()];
  const TemporaryFolder folder;
  write_mixture_checkpoint(mixture, folder / "start");
  double total = 0;
  std::map<size_t, double> gradients;
  for (const Json& each : case_golden["gradients"]) {
    gradients[each[0]] = each[1];
    total += each[1].get<double>() * each[1].get<double>();
  }
  for (const char* mode : {"ALIGNMENT", "END2END"}) {
    const Json& expected = case_golden["trajectory"][mode];
    const fs::path out = folder / mode;
    const fs::path recipe =
        write_mixture_recipe(folder / (std::string(mode) + ".yaml"), mixture_entry(mixture), folder / "start", out, mode);
    const Result result = run({"train", "--config", recipe.string(), "--quiet", "logging_level=micro"});
    ASSERT_EQ(result.code, 0) << result.err;
    const std::string name = "mixture " + mixture.name();
    report_trajectory(name, mode, out / "metrics.jsonl", expected);
    const SafetensorsReader reader(checkpoint_path(out, list_checkpoints(out).back()));
    double largest = 0;
    for (const Json& each : expected.at("final_norms")) {
      if (gradients[each[0]] < 1e-6 * std::sqrt(total)) continue;  // AdamW walks at random on a gradient that is zero but for rounding
      const std::string tensor = golden["tensors"][each[0].get<size_t>()];
      const TensorView* view = reader.find(tensor);
      ASSERT_NE(view, nullptr) << tensor;
      largest = std::max(largest, std::abs(to_tensor(*view).to(at::kDouble).norm().item<double>() / each[1].get<double>() - 1));
    }
    report_parity(name, std::string(mode) + " final parameters", largest, 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Mixtures, MixtureTraining, ::testing::ValuesIn(all_mixtures()),
                         [](const auto& info) { return info.param.test_name(); });

}  // namespace
}  // namespace multimeditron::testing
