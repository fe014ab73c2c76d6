#include "models/multimodal/fusion.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/rand.h>

#include <cmath>

namespace multimeditron {

at::Tensor weighted_average(const at::Tensor& tokens, const at::Tensor& weights) {
  return (tokens * weights.to(tokens.scalar_type()).unsqueeze(-1).unsqueeze(-1)).sum(1);
}

Dropout::Dropout(double probability, uint64_t seed) : probability_(probability), generator_(at::detail::createCPUGenerator(seed)) {}

at::Tensor Dropout::operator()(const at::Tensor& x) {
  const at::Tensor kept = at::rand(x.sizes(), generator_, at::kFloat).ge(probability_);
  return x * kept.to(x.scalar_type()).div_(1 - probability_);
}

CrossAttention::CrossAttention(int64_t width, int64_t num_heads) : num_heads_(num_heads) {
  own_bucket();
  const auto linear = [&](const std::string& name) {
    Parameter& weight = register_parameter(name + ".weight", {width, width});
    return Linear{&weight, &register_parameter(name + ".bias", {width})};
  };
  q_ = linear("q_proj");
  k_ = linear("k_proj");
  v_ = linear("v_proj");
  proj_ = linear("proj");
}

at::Tensor CrossAttention::forward(const at::Tensor& queries, const at::Tensor& keys_values, std::optional<Dropout>& dropout) const {
  const int64_t images = queries.size(0), width = queries.size(2), head_dim = width / num_heads_;
  const auto project = [&](const at::Tensor& x, const Linear& linear) {  // [N, heads, tokens, head_dim]
    return at::linear(x, linear.weight->data, linear.bias->data).view({images, x.size(1), num_heads_, head_dim}).transpose(1, 2);
  };
  const at::Tensor q = project(queries, q_) * (1 / std::sqrt(static_cast<double>(head_dim)));
  at::Tensor weights = at::matmul(q, project(keys_values, k_).transpose(-1, -2)).softmax(-1);  // [N, heads, P, K]
  if (dropout) weights = (*dropout)(weights);
  const at::Tensor mixed = at::matmul(weights, project(keys_values, v_)).transpose(1, 2).reshape({images, queries.size(1), width});
  const at::Tensor output = at::linear(mixed, proj_.weight->data, proj_.bias->data);
  return dropout ? (*dropout)(output) : output;
}

void CrossAttention::initialise(uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (const Linear* linear : {&q_, &k_, &v_, &proj_}) {
    linear->weight->data.copy_(at::normal(0.0, 0.02, linear->weight->shape, generator, at::kFloat));
    linear->bias->data.zero_();
  }
}

}  // namespace multimeditron
