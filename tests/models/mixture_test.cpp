#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "models/multimodal/gate_classes.h"
#include "models/multimodal/mixture_config.h"
#include "models/multimodal/mixture_modality.h"

namespace multimeditron {
namespace {

// --- experts and classes ---

const std::vector<std::string> kExperts{"org/MedExpert-CT", "org/MedExpert-MRI", "org/clip-vit-base-patch32"};

std::vector<int64_t> match(const std::vector<std::string>& classes, const std::vector<std::string>& by_hand = {}) {
  return match_gate_classes(kExperts, classes, static_cast<int64_t>(classes.size()), by_hand, "recipe.yaml, modalities.0");
}

TEST(GateClasses, AreMatchedByNameThenByLastComponent) {
  EXPECT_EQ(match({"org/clip-vit-base-patch32", "org/MedExpert-CT", "org/MedExpert-MRI"}), (std::vector<int64_t>{1, 2, 0}));
  EXPECT_EQ(match({"runs/MedExpert-MRI/", "clip-vit-base-patch32", "skin", "other/MedExpert-CT"}), (std::vector<int64_t>{3, 0, 1}));
  // An expert's own name goes before another's last component.
  EXPECT_EQ(match({"other/MedExpert-CT", "org/MedExpert-CT", "MedExpert-MRI", "clip-vit-base-patch32"}), (std::vector<int64_t>{1, 2, 3}));
}

TEST(GateClasses, OneExpertAndOneClassLeftOverBelongTogether) {
  EXPECT_EQ(match({"runs/mri/checkpoint-4350", "org/clip-vit-base-patch32", "MedExpert-CT"}), (std::vector<int64_t>{2, 0, 1}));
}

TEST(GateClasses, WithoutNamesOrWithoutAnyMatchTheOrderCounts) {
  EXPECT_EQ(match_gate_classes(kExperts, {}, 3, {}, "here"), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(match({"ct", "mri", "rest"}), (std::vector<int64_t>{0, 1, 2}));
}

TEST(GateClasses, WhatNamesNoExpertIsRefusedWithTheNames) {
  EXPECT_USER_ERROR(match({"MedExpert-CT", "MedExpert-Skin", "MedExpert-Eye"}), "recipe.yaml, modalities.0",
                    "no class for org/MedExpert-MRI", "MedExpert-Skin", "gate_classes");
  EXPECT_USER_ERROR(match({"a", "b"}), "no class for org/MedExpert-CT", "gate_classes");
  EXPECT_USER_ERROR(match_gate_classes(kExperts, {}, 5, {}, "here"), "5 classes without names, 3 experts");
}

TEST(GateClasses, ByHandSettlesIt) {
  EXPECT_EQ(match({"a", "x/b", "c", "d"}, {"d", "a", "b"}), (std::vector<int64_t>{3, 0, 1}));
  EXPECT_USER_ERROR(match({"a", "b", "c"}, {"a", "b", "z"}), "key gate_classes", "found: z", "the gate's classes: a, b, c");
  EXPECT_USER_ERROR(match({"a", "b", "c"}, {"a", "b", "a"}), "names it twice");
}

// --- what runs ---

/// A mixture of random weights; the gate's weights spread over the experts.
struct Mixture {
  explicit Mixture(ModalitySpec spec, const std::vector<int64_t>& widths = {16, 16, 16, 16}) {
    ModalityConfig config;
    config.spec = std::move(spec);
    config.spec.hidden_size = 20;
    if (config.spec.model_type.empty()) config.spec.model_type = "moe_meditron_clip";
    config.spec.cross_attn_heads = 4;
    for (size_t e = 0; e < widths.size(); ++e) {
      config.spec.expert_clip_names.push_back("expert-" + std::to_string(e));
      config.experts.push_back(VisionConfig::from_json(Json{{"model_type", "clip"},
                                                            {"vision_config",
                                                             {{"hidden_size", widths[e]},
                                                              {"intermediate_size", 24},
                                                              {"num_hidden_layers", 1},
                                                              {"num_attention_heads", 2},
                                                              {"image_size", 32},
                                                              {"patch_size", 8}}}},
                                                       "config.json"));
    }
    config.vision = config.experts.front();
    config.processor = ImageProcessor::from_json({{"size", 32}, {"crop_size", 32}});
    config.gate.num_classes = static_cast<int64_t>(widths.size());
    config.gate.class_names = config.spec.expert_clip_names;
    config.gate.resnet = ResNetShape::from_widths({2, 4, 4, 8}, {1, 1, 1, 1});
    settle_modality(config, 20, "recipe.yaml, modalities.0");
    modality = std::make_unique<MixtureModality>(config);
    buckets = modality->make_buckets("modalities_with_projection.0.", "rest");
    at::Generator generator = at::detail::createCPUGenerator(3);
    for (const auto& bucket : buckets) {
      allocate(*bucket, at::kFloat);
      for (Parameter* parameter : bucket->parameters) {
        const double fan_in = static_cast<double>(
            std::max<int64_t>(1, parameter->numel() / std::max<int64_t>(1, parameter->shape.empty() ? 1 : parameter->shape[0])));
        if (parameter->role == Role::kCount) {
          parameter->data.zero_();
        } else if (parameter->role == Role::kStatistic) {
          parameter->data.copy_(at::rand(parameter->shape, generator, at::kFloat) + 0.5);
        } else if (parameter->shape.size() < 2) {
          parameter->data.copy_(at::randn(parameter->shape, generator, at::kFloat) * 0.1 + (parameter->name.ends_with("weight") ? 1 : 0));
        } else {
          parameter->data.copy_(at::randn(parameter->shape, generator, at::kFloat) * (2 / std::sqrt(fan_in)));
        }
      }
    }
    pixel_values = at::randn({12, 3, 32, 32}, generator, at::kFloat);
  }

  std::unique_ptr<MixtureModality> modality;
  std::vector<std::unique_ptr<Bucket>> buckets;
  at::Tensor pixel_values;
};

ModalitySpec spec(const std::string& fusion, int64_t top_k) {
  ModalitySpec spec;
  spec.fusion_method = fusion;
  spec.top_k_experts = top_k;
  return spec;
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

TEST(MixtureModality, AppendedExpertsRunOnlyOnTheImagesThatChoseThem) {
  Mixture two(spec("sequence_append", 2));
  const at::Tensor all = two.modality->features(two.pixel_values), weights = two.modality->gate_weights(two.pixel_values);
  const at::Tensor embedded = two.modality->forward(two.pixel_values, nullptr);
  EXPECT_EQ(embedded.sizes(), (std::vector<int64_t>{12, 32, 20}));
  EXPECT_EQ(two.modality->expert_passes().run, 24);
  EXPECT_EQ(two.modality->expert_passes().all, 48);

  // The same numbers as those of all experts, image by image.
  Mixture four(spec("sequence_append", 4));
  const at::Tensor whole = four.modality->forward(four.pixel_values, nullptr).view({12, 4, 16, 20});
  EXPECT_EQ(four.modality->expert_passes().run, 48);
  std::set<int64_t> seen;
  for (int64_t n = 0; n < 12; ++n) {
    const at::Tensor best = std::get<0>(weights[n].argsort(0, true).narrow(0, 0, 2).sort());
    EXPECT_LT(distance(embedded[n], whole[n].index_select(0, best).flatten(0, 1)), 1e-5) << n;
    for (int64_t i = 0; i < 2; ++i) seen.insert(best[i].item<int64_t>());
  }
  EXPECT_GT(seen.size(), 2U) << "a gate that chooses the same experts for all images tests nothing";
}

TEST(MixtureModality, ChosenExpertsAloneAverageWithWeightsThatAddUpToOne) {
  ModalitySpec chosen = spec("weighted_average", 1);
  chosen.experts = "top_k";
  Mixture one(chosen);
  const at::Tensor embedded = one.modality->forward(one.pixel_values, nullptr);
  EXPECT_EQ(one.modality->expert_passes().run, 12);
  // One expert with weight 1 is what appending one expert gives.
  Mixture appended(spec("sequence_append", 1));
  EXPECT_LT(distance(embedded, appended.modality->forward(appended.pixel_values, nullptr)), 1e-6);
  // All of them chosen: the plain average, since every class is an expert's.
  chosen.top_k_experts = 4;
  Mixture four(chosen), plain(spec("weighted_average", 1));
  EXPECT_LT(distance(four.modality->forward(four.pixel_values, nullptr), plain.modality->forward(plain.pixel_values, nullptr)), 1e-6);
}

TEST(MixtureModality, CrossAttentionNeverRunsTheGeneralistTwice) {
  ModalitySpec original = spec("cross_attn", 4);
  original.fusion_behaviour = "original";
  Mixture mixture(original);
  mixture.modality->forward(mixture.pixel_values, nullptr);
  EXPECT_EQ(mixture.modality->expert_passes().run, 48);
  ModalitySpec chosen = spec("cross_attn", 1);
  chosen.experts = "top_k";
  Mixture one(chosen);
  EXPECT_EQ(one.modality->forward(one.pixel_values, nullptr).sizes(), (std::vector<int64_t>{12, 16, 20}));
  EXPECT_EQ(one.modality->expert_passes().run, 24);  // the generalist and one specialist an image
}

TEST(MixtureModality, AnImageIsTheSameAloneAndAmongOthers) {
  for (const char* fusion : {"weighted_average", "sequence_append", "cross_attn"}) {
    Mixture mixture(spec(fusion, 2));
    const at::Tensor together = mixture.modality->forward(mixture.pixel_values, nullptr);
    for (int64_t n = 0; n < 12; n += 5) {
      EXPECT_LT(distance(mixture.modality->forward(mixture.pixel_values.narrow(0, n, 1), nullptr), together.narrow(0, n, 1)), 1e-5)
          << fusion;
    }
  }
}

TEST(MixtureModality, ExpertsWithAProjectorEachMayDifferInWidth) {
  ModalitySpec pep = spec("cross_attn", 4);
  pep.model_type = "moe_meditron_clip_pep";
  Mixture mixture(pep, {16, 24, 8, 16});
  EXPECT_EQ(mixture.modality->forward(mixture.pixel_values, nullptr).sizes(), (std::vector<int64_t>{12, 16, 20}));
  const at::Tensor features = mixture.modality->features(mixture.pixel_values);
  EXPECT_EQ(features.sizes(), (std::vector<int64_t>{12, 4, 16, 24}));
  EXPECT_EQ(features.select(1, 2).narrow(-1, 8, 16).abs().max().item<double>(), 0);
}

TEST(MixtureModality, FrozenPartsRecordNoGraphAndGetNoGradient) {
  Mixture mixture(spec("cross_attn", 4));
  for (const auto& bucket : mixture.buckets) {
    const bool is_fusion = bucket->name.ends_with(".projector") || bucket->name.ends_with(".cross_attn");
    set_trained(*bucket, is_fusion, at::kFloat);
  }
  Modality::Saved saved;
  const at::Tensor output = mixture.modality->forward(mixture.pixel_values, &saved);
  mixture.modality->backward(at::ones(output.sizes()), saved);
  int64_t trained = 0;
  for (const auto& bucket : mixture.buckets) {
    if (!bucket->grad.defined()) continue;
    ++trained;
    EXPECT_GT(bucket->grad.abs().max().item<double>(), 0) << bucket->name;
  }
  EXPECT_EQ(trained, 2);
}

TEST(Dropout, DropsItsShareAndKeepsTheMean) {
  Dropout dropout(0.1, 5);
  const at::Tensor dropped = dropout(at::ones({400, 500}));
  const double share = dropped.eq(0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(share, 0.1, 4 * std::sqrt(0.1 * 0.9 / 200000));
  EXPECT_NEAR(dropped.mean().item<double>(), 1, 0.005);
  EXPECT_NEAR(dropped.max().item<double>(), 1 / 0.9, 1e-6);
  // The next call goes on in the sequence; the same seed begins it anew.
  EXPECT_FALSE(dropout(at::ones({400, 500})).equal(dropped));
  EXPECT_TRUE(Dropout(0.1, 5)(at::ones({400, 500})).equal(dropped));
  EXPECT_FALSE(Dropout(0.1, 6)(at::ones({400, 500})).equal(dropped));
}

TEST(Dropout, ActsInCrossAttentionWhileTrainingAlone) {
  Mixture mixture(spec("cross_attn", 4));
  const at::Tensor plain = mixture.modality->forward(mixture.pixel_values, nullptr);
  Modality::Saved saved;
  EXPECT_TRUE(mixture.modality->forward(mixture.pixel_values, &saved).equal(plain)) << "no seed, no dropout";
  const at::Tensor a = mixture.modality->forward(mixture.pixel_values, &saved, 1),
                   b = mixture.modality->forward(mixture.pixel_values, &saved, 1);
  EXPECT_TRUE(a.equal(b));
  EXPECT_GT(distance(a, plain), 1e-3);
  EXPECT_GT(distance(mixture.modality->forward(mixture.pixel_values, &saved, 2), a), 1e-3);
  // What is expected of the output stays: over many draws the mean of the attended values comes back. The projector behind it is not
  // linear, so the attention alone is looked at.
  CrossAttention attention(8, 2);
  auto buckets = attention.make_buckets("", "attention");
  at::Generator generator = at::detail::createCPUGenerator(1);
  for (const auto& bucket : buckets) {
    allocate(*bucket, at::kFloat);
    bucket->data.copy_(at::randn({bucket->numel()}, generator, at::kFloat) * 0.4);
  }
  const at::Tensor queries = at::randn({1, 6, 8}, generator, at::kFloat), keys = at::randn({1, 12, 8}, generator, at::kFloat);
  std::optional<Dropout> none, some(std::in_place, 0.1, 7);
  const at::Tensor expected = attention.forward(queries, keys, none);
  at::Tensor mean = at::zeros_like(expected);
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) mean += attention.forward(queries, keys, some) / kDraws;
  EXPECT_LT(distance(mean, expected), 0.05);
}

// --- what does not fit ---

TEST(MixtureMistakes, ExpertsThatDoNotFitEachOther) {
  EXPECT_USER_ERROR(Mixture(spec("weighted_average", 4), {16, 16, 24, 16}), "experts of different width cannot share a projector",
                    "modalities.0, expert_clip_names.2", "expert-2: width 24; the first expert has 16", "moe_meditron_clip_pep");
  ModalityConfig config;
  config.spec = spec("cross_attn", 2);
  config.spec.model_type = "moe_meditron_clip_pep";
  config.spec.hidden_size = 20;
  config.spec.expert_clip_names = {"a", "b"};
  config.experts = {{.hidden_size = 16, .image_size = 32, .patch_size = 8}, {.hidden_size = 16, .image_size = 32, .patch_size = 16}};
  config.vision = config.experts.front();
  config.gate.num_classes = 2;
  EXPECT_USER_ERROR(settle_modality(config, 20, "recipe.yaml, modalities.0"), "expert_clip_names.1",
                    "b: 32 x 32 pixels in patches of 16; the first expert has 32 x 32 pixels in patches of 8");
}

TEST(MixtureMistakes, ChoicesOutOfRange) {
  EXPECT_USER_ERROR(Mixture(spec("sequence_append", 5)), "key top_k_experts", "5 of 4 experts", "choose 1 to 4");
  for (const int64_t index : {4, -5}) {
    ModalitySpec wrong = spec("cross_attn", 4);
    wrong.generalist_idx = index;
    EXPECT_USER_ERROR(Mixture{wrong}, "key generalist_idx", std::to_string(index) + " of 4 experts", "choose 0 to 3, or -1");
  }
  EXPECT_USER_ERROR(Mixture(spec("cross_attn", 1), {16}), "cross attention needs a specialist");
  ModalitySpec pep = spec("cross_attn", 4);
  pep.model_type = "moe_meditron_clip_pep";
  EXPECT_NO_THROW(Mixture{pep});
}

}  // namespace
}  // namespace multimeditron
