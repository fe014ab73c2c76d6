#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/tril.h>
#include <ATen/ops/triu.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

#include "models/language/causal_lm.h"

namespace multimeditron {
namespace {

DecoderConfig small_config(bool qk_norm) {
  DecoderConfig config;
  config.hidden_size = 40;
  config.intermediate_size = 72;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 10;
  config.vocab_size = 97;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 5000;
  config.qk_norm = qk_norm;
  return config;
}

/// A model with weights drawn from a fixed seed, all of it trained.
struct Model {
  explicit Model(const DecoderConfig& config, at::ScalarType dtype = at::kFloat, at::ScalarType grad_dtype = at::kFloat) : lm(config) {
    buckets = lm.make_buckets("", "model");
    at::Generator generator = at::detail::createCPUGenerator(7);
    for (auto& bucket : buckets) {
      allocate(*bucket, dtype);
      for (Parameter* parameter : bucket->parameters) {
        const at::Tensor noise = at::randn(parameter->shape, generator, at::kFloat);
        parameter->data.copy_(parameter->is_norm ? 1 + 0.1 * noise : 0.15 * noise);
        parameters[parameter->name] = parameter;
      }
      set_trained(*bucket, true, grad_dtype);
    }
  }

  CausalLm lm;
  std::vector<std::unique_ptr<Bucket>> buckets;
  std::map<std::string, Parameter*> parameters;
};

struct Inputs {
  at::Tensor embeddings;  // [T, hidden_size]
  SequenceLayout layout;
  std::vector<int64_t> rows, targets;
};

Inputs make_inputs(const DecoderConfig& config, const std::vector<int64_t>& lengths) {
  Inputs inputs;
  for (const int64_t length : lengths) {
    const int64_t start = inputs.layout.num_tokens();
    inputs.layout.cu_seqlens.push_back(start + length);
    for (int64_t t = 0; t + 1 < length; t += 2) {
      inputs.rows.push_back(start + t);
      inputs.targets.push_back((start + t) * 31 % config.vocab_size);
    }
  }
  inputs.embeddings = at::randn({inputs.layout.num_tokens(), config.hidden_size}, at::detail::createCPUGenerator(11), at::kFloat);
  return inputs;
}

at::Tensor indices(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

struct Result {
  double loss = 0;
  at::Tensor grad_embeddings;
};

Result run(Model& model, const Inputs& inputs, double scale, bool checkpointing, at::ScalarType dtype = at::kFloat) {
  CausalLm::Saved saved;
  const at::Tensor hidden = model.lm.forward_layers(inputs.embeddings.to(dtype), inputs.layout, &saved, checkpointing);
  const auto head = model.lm.head_loss(hidden.index_select(0, indices(inputs.rows)), inputs.targets, scale);
  at::Tensor grad = at::zeros_like(hidden).index_copy_(0, indices(inputs.rows), head.grad_rows);
  return {.loss = head.loss_sum * scale, .grad_embeddings = model.lm.backward_layers(grad, inputs.layout, saved)};
}

/// The same model as a plain composition of differentiable operations, sample by sample, keys repeated, masks added.
struct Reference {
  double loss;
  std::map<std::string, at::Tensor> gradients;
  at::Tensor grad_embeddings;
};

Reference reference(Model& model, const DecoderConfig& c, const Inputs& inputs, double scale) {
  const at::AutoGradMode mode(true);
  std::map<std::string, at::Tensor> w;
  for (auto& [name, parameter] : model.parameters) w[name] = parameter->data.detach().clone().requires_grad_(true);
  const at::Tensor x0 = inputs.embeddings.clone().requires_grad_(true);
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return x * at::rsqrt((x * x).mean(-1, true) + c.rms_norm_eps) * weight;
  };
  std::vector<at::Tensor> outputs;
  for (int64_t s = 0; s < inputs.layout.num_sequences(); ++s) {
    const int64_t n = inputs.layout.length(s);
    at::Tensor x = x0.narrow(0, inputs.layout.cu_seqlens[s], n);
    const at::Tensor inv_freq = at::pow(at::Scalar(c.rope_theta), at::arange(0, c.head_dim, 2, at::kFloat) / c.head_dim).reciprocal();
    const at::Tensor angles = at::arange(n, at::kFloat).unsqueeze(1) * inv_freq;
    const at::Tensor cos = at::cat({angles, angles}, 1).cos(), sin = at::cat({angles, angles}, 1).sin();
    const auto rotate = [&](const at::Tensor& q) {
      const at::Tensor half = at::cat({-q.narrow(-1, c.head_dim / 2, c.head_dim / 2), q.narrow(-1, 0, c.head_dim / 2)}, -1);
      return q * cos + half * sin;
    };
    for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
      const std::string p = "model.layers." + std::to_string(l) + ".";
      const at::Tensor n1 = norm(x, w[p + "input_layernorm.weight"]);
      const auto heads = [&](const char* name, int64_t count) {
        return at::matmul(n1, w[p + "self_attn." + name + ".weight"].t()).view({n, count, c.head_dim}).transpose(0, 1);
      };
      at::Tensor q = heads("q_proj", c.num_attention_heads), k = heads("k_proj", c.num_key_value_heads),
                 v = heads("v_proj", c.num_key_value_heads);
      if (c.qk_norm) {
        q = norm(q, w[p + "self_attn.q_norm.weight"]);
        k = norm(k, w[p + "self_attn.k_norm.weight"]);
      }
      q = rotate(q);
      k = rotate(k).repeat_interleave(c.num_attention_heads / c.num_key_value_heads, 0);
      v = v.repeat_interleave(c.num_attention_heads / c.num_key_value_heads, 0);
      at::Tensor mask = at::triu(at::ones({n, n}), 1) * -1e30;
      const int64_t window = c.layer_windows.empty() ? 0 : c.layer_windows[static_cast<size_t>(l)];
      if (window > 0) mask = mask + at::tril(at::ones({n, n}), -window) * -1e30;
      const at::Tensor probs = at::softmax(at::matmul(q, k.transpose(1, 2)) / std::sqrt(static_cast<double>(c.head_dim)) + mask, -1);
      x = x + at::matmul(at::matmul(probs, v).transpose(0, 1).reshape({n, -1}), w[p + "self_attn.o_proj.weight"].t());
      const at::Tensor n2 = norm(x, w[p + "post_attention_layernorm.weight"]);
      const at::Tensor inner =
          at::silu(at::matmul(n2, w[p + "mlp.gate_proj.weight"].t())) * at::matmul(n2, w[p + "mlp.up_proj.weight"].t());
      x = x + at::matmul(inner, w[p + "mlp.down_proj.weight"].t());
    }
    outputs.push_back(x);
  }
  const at::Tensor rows = norm(at::cat(outputs, 0), w["model.norm.weight"]).index_select(0, indices(inputs.rows));
  const at::Tensor log_probs = at::log_softmax(at::matmul(rows, w["lm_head.weight"].t()), -1);
  const at::Tensor loss = -log_probs.gather(1, indices(inputs.targets).unsqueeze(1)).sum() * scale;
  torch::autograd::variable_list leaves{x0};
  std::vector<std::string> names;
  for (auto& [name, weight] : w) {
    if (name == "model.embed_tokens.weight") continue;
    leaves.push_back(weight);
    names.push_back(name);
  }
  const auto gradients = torch::autograd::grad({loss}, leaves);
  Reference result{.loss = loss.item<double>(), .gradients = {}, .grad_embeddings = gradients[0]};
  for (size_t i = 0; i < names.size(); ++i) result.gradients[names[i]] = gradients[i + 1];
  return result;
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

TEST(LanguageModel, HandWrittenBackwardEqualsAutograd) {
  for (const bool qk_norm : {true, false}) {
    const DecoderConfig config = small_config(qk_norm);
    Model model(config);
    const Inputs inputs = make_inputs(config, {23, 1, 40, 17});
    const double scale = 0.37;
    const Result ours = run(model, inputs, scale, false);
    const Reference theirs = reference(model, config, inputs, scale);
    EXPECT_NEAR(ours.loss, theirs.loss, 1e-5 * theirs.loss);
    EXPECT_LT(difference(ours.grad_embeddings, theirs.grad_embeddings), 1e-5);
    for (const auto& [name, gradient] : theirs.gradients) EXPECT_LT(difference(model.parameters.at(name)->grad, gradient), 1e-5) << name;
  }
}

TEST(LanguageModel, LongSamplesAreTiledWithoutADifference) {
  const DecoderConfig config = small_config(true);
  Model model(config);
  const Inputs inputs = make_inputs(config, {700, 30});
  const Result ours = run(model, inputs, 0.01, false);
  const Reference theirs = reference(model, config, inputs, 0.01);
  EXPECT_NEAR(ours.loss, theirs.loss, 1e-5 * theirs.loss);
  for (const auto& [name, gradient] : theirs.gradients) EXPECT_LT(difference(model.parameters.at(name)->grad, gradient), 2e-5) << name;
}

TEST(LanguageModel, AWindowReachesAcrossTiles) {
  DecoderConfig config = small_config(true);
  config.layer_windows = {0, 300};
  Model model(config);
  const Inputs inputs = make_inputs(config, {700, 310, 30});
  const Result ours = run(model, inputs, 0.01, false);
  const Reference theirs = reference(model, config, inputs, 0.01);
  EXPECT_NEAR(ours.loss, theirs.loss, 1e-5 * theirs.loss);
  for (const auto& [name, gradient] : theirs.gradients) EXPECT_LT(difference(model.parameters.at(name)->grad, gradient), 2e-5) << name;
}

TEST(LanguageModel, PackedGradientsAreTheSumOfTheSamplesOwn) {
  const DecoderConfig config = small_config(true);
  const std::vector<int64_t> lengths{23, 9, 40};
  Model packed(config), separate(config);
  const Inputs all = make_inputs(config, lengths);
  const Result together = run(packed, all, 1.0, false);
  double loss = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const int64_t start = all.layout.cu_seqlens[s], end = all.layout.cu_seqlens[s + 1];
    Inputs one;
    one.embeddings = all.embeddings.narrow(0, start, lengths[s]);
    one.layout.cu_seqlens = {0, lengths[s]};
    for (size_t i = 0; i < all.rows.size(); ++i) {
      if (all.rows[i] < start || all.rows[i] >= end) continue;
      one.rows.push_back(all.rows[i] - start);
      one.targets.push_back(all.targets[i]);
    }
    const Result alone = run(separate, one, 1.0, false);
    loss += alone.loss;
    EXPECT_LT(difference(together.grad_embeddings.narrow(0, start, lengths[s]), alone.grad_embeddings), 1e-5);
  }
  EXPECT_NEAR(together.loss, loss, 1e-6 * loss);
  for (const auto& [name, parameter] : packed.parameters) {
    if (name == "model.embed_tokens.weight") continue;
    EXPECT_LT(difference(parameter->grad, separate.parameters.at(name)->grad), 1e-5) << name;
  }
}

TEST(LanguageModel, SamplesDoNotSeeEachOther) {
  const DecoderConfig config = small_config(true);
  Model model(config);
  Inputs inputs = make_inputs(config, {20, 20});
  const at::Tensor before = model.lm.forward_layers(inputs.embeddings, inputs.layout, nullptr, false);
  inputs.embeddings = inputs.embeddings.clone();
  inputs.embeddings.narrow(0, 0, 20).add_(1.0);
  const at::Tensor after = model.lm.forward_layers(inputs.embeddings, inputs.layout, nullptr, false);
  EXPECT_TRUE(before.narrow(0, 20, 20).equal(after.narrow(0, 20, 20)));
  EXPECT_FALSE(before.narrow(0, 0, 20).equal(after.narrow(0, 0, 20)));
}

TEST(LanguageModel, GradientCheckpointingChangesNoBit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const DecoderConfig config = small_config(true);
    Model kept(config, dtype, dtype), computed_again(config, dtype, dtype);
    const Inputs inputs = make_inputs(config, {23, 40});
    const Result a = run(kept, inputs, 0.5, false, dtype), b = run(computed_again, inputs, 0.5, true, dtype);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_TRUE(a.grad_embeddings.equal(b.grad_embeddings));
    for (size_t i = 0; i < kept.buckets.size(); ++i) EXPECT_TRUE(kept.buckets[i]->grad.equal(computed_again.buckets[i]->grad));
  }
}

TEST(LanguageModel, GradientsOfSeveralMicroBatchesAddUp) {
  const DecoderConfig config = small_config(true);
  Model twice(config), once(config);
  const Inputs inputs = make_inputs(config, {23, 40});
  run(twice, inputs, 0.25, false);
  run(twice, inputs, 0.25, false);
  run(once, inputs, 0.5, false);
  for (const auto& [name, parameter] : once.parameters) {
    if (name == "model.embed_tokens.weight") continue;
    EXPECT_LT(difference(twice.parameters.at(name)->grad, parameter->grad), 1e-6) << name;
  }
}

TEST(LanguageModel, Bf16GradientsPointWhereFloat32OnesDo) {
  const DecoderConfig config = small_config(true);
  Model full(config), half(config, at::kBFloat16, at::kFloat);
  const Inputs inputs = make_inputs(config, {60, 33});
  const Result a = run(full, inputs, 0.01, false), b = run(half, inputs, 0.01, false, at::kBFloat16);
  EXPECT_NEAR(b.loss, a.loss, 0.01 * a.loss);
  for (const auto& [name, parameter] : full.parameters) {
    if (name == "model.embed_tokens.weight") continue;
    const at::Tensor x = parameter->grad.flatten(), y = half.parameters.at(name)->grad.flatten();
    EXPECT_GT(x.dot(y).item<double>() / (x.norm() * y.norm()).item<double>(), 0.995) << name;
  }
}

TEST(LanguageModel, EmbeddingGradientAddsRepeatedTokensAndSkipsImages) {
  const DecoderConfig config = small_config(true);
  Model model(config);
  const at::Tensor ids = at::tensor(std::vector<int64_t>{5, 9, 5, 96, 9, 5}, at::kLong);
  const at::Tensor grad = at::randn({6, config.hidden_size}, at::detail::createCPUGenerator(3), at::kFloat);
  model.lm.embed_backward(ids, grad, {3});
  const at::Tensor table = model.lm.embed_tokens().grad;
  EXPECT_LT(difference(table[5], grad[0] + grad[2] + grad[5]), 1e-6);
  EXPECT_LT(difference(table[9], grad[1] + grad[4]), 1e-6);
  EXPECT_EQ(table[96].abs().max().item<float>(), 0.0f);
  EXPECT_EQ(table.abs().sum(1).count_nonzero().item<int64_t>(), 2);
}

}  // namespace
}  // namespace multimeditron
