#include "models/multimodal/projector.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/normal.h>

namespace multimeditron {

Projector::Projector(int64_t input_size, int64_t hidden_size) {
  own_bucket();
  const int64_t out[3] = {input_size, hidden_size, hidden_size}, in[3] = {input_size, input_size, hidden_size};
  for (int i = 0; i < 3; ++i) {
    const std::string name = "projection." + std::to_string(2 * i);
    weights_[i] = &register_parameter(name + ".weight", {out[i], in[i]});
    biases_[i] = &register_parameter(name + ".bias", {out[i]});
  }
}

at::Tensor Projector::forward(const at::Tensor& features) const {
  at::Tensor x = at::gelu(at::linear(features, weights_[0]->data, biases_[0]->data));
  x = at::gelu(at::linear(x, weights_[1]->data, biases_[1]->data));
  return at::linear(x, weights_[2]->data, biases_[2]->data);
}

void Projector::initialise(uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (int i = 0; i < 3; ++i) {
    // Drawn in float32 whatever the dtype: the same seed gives the same projector in fp32 and, rounded, in bf16.
    weights_[i]->data.copy_(at::normal(0.0, 0.02, weights_[i]->shape, generator, at::kFloat));
    biases_[i]->data.zero_();
  }
}

}  // namespace multimeditron
