#include "models/layers/rotary.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/sin.h>

#include <algorithm>
#include <cmath>

namespace multimeditron {

RotaryTable::RotaryTable(const DecoderConfig& config) {
  // The same float32 operations as transformers, in the same order: at position 4096 a last-bit difference here is 1e-4 in an angle.
  const at::Tensor exponent = at::arange(0, config.head_dim, 2, at::kLong).to(at::kFloat).div(static_cast<double>(config.head_dim));
  inv_freq_ = at::pow(at::Scalar(config.rope_theta), exponent).reciprocal();
  if (config.rope_scaling) {
    const Llama3RopeScaling& scaling = *config.rope_scaling;
    const double low_wavelength = scaling.original_max_position_embeddings / scaling.low_freq_factor;
    const double high_wavelength = scaling.original_max_position_embeddings / scaling.high_freq_factor;
    float* values = inv_freq_.mutable_data_ptr<float>();
    for (int64_t i = 0; i < inv_freq_.size(0); ++i) {
      const float frequency = values[i];
      const float wavelength = static_cast<float>(2.0 * M_PI) / frequency;
      if (wavelength > static_cast<float>(low_wavelength)) {
        values[i] = frequency / static_cast<float>(scaling.factor);
      } else if (wavelength >= static_cast<float>(high_wavelength)) {
        const float smooth =
            (static_cast<float>(scaling.original_max_position_embeddings) / wavelength - static_cast<float>(scaling.low_freq_factor)) /
            static_cast<float>(scaling.high_freq_factor - scaling.low_freq_factor);
        values[i] = (1.0f - smooth) * frequency / static_cast<float>(scaling.factor) + smooth * frequency;
      }
    }
  }
  reserve(512);
}

void RotaryTable::reserve(int64_t positions) {
  if (cos_.defined() && cos_.size(0) >= positions) return;
  if (cos_.defined()) positions = std::max(positions, 2 * cos_.size(0));
  const at::Tensor angles = at::outer(at::arange(positions, at::kFloat), inv_freq_);
  cos_ = at::cos(angles);
  sin_ = at::sin(angles);
}

}  // namespace multimeditron
