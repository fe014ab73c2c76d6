#include "models/kernels/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <vector>

namespace multimeditron::kernels {
namespace {

std::vector<float> draw(size_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

TEST(Kernels, EveryVariantAgreesWithDoublePrecision) {
  constexpr int64_t kRows = 3, kDim = 77;
  for (const Kernels& variant : variants()) {
    SCOPED_TRACE(variant.name);
    const auto x = draw(kRows * kDim, 1), weight = draw(kDim, 2);
    std::vector<float> out(x.size());
    variant.f32.rms_norm(x.data(), weight.data(), out.data(), nullptr, kRows, kDim, 1e-6f);
    for (int64_t row = 0; row < kRows; ++row) {
      double sum = 0;
      for (int64_t i = 0; i < kDim; ++i) sum += std::pow(x[row * kDim + i], 2);
      for (int64_t i = 0; i < kDim; ++i) {
        const double expected = x[row * kDim + i] / std::sqrt(sum / kDim + 1e-6) * weight[i];
        EXPECT_NEAR(out[row * kDim + i], expected, 1e-6 * std::max(1.0, std::abs(expected)));
      }
    }

    const auto gate_up = draw(2 * kDim, 3, 4.0f);
    std::vector<float> activation(kDim);
    variant.f32.swiglu(gate_up.data(), activation.data(), 1, kDim);
    for (int64_t i = 0; i < kDim; ++i) {
      const double g = gate_up[i], expected = g / (1 + std::exp(-g)) * gate_up[kDim + i];
      EXPECT_NEAR(activation[i], expected, 1e-6 * std::max(1.0, std::abs(expected)));
    }

    auto curved = gate_up;
    curved[0] = -200;  // exp(340) is no float
    curved[1] = 200;
    const auto before = curved;
    variant.f32.quick_gelu(curved.data(), static_cast<int64_t>(curved.size()));
    for (size_t i = 0; i < curved.size(); ++i) {
      const double x = before[i];
      EXPECT_NEAR(curved[i], x / (1 + std::exp(-1.702 * x)), 1e-6 * std::max(1.0, std::abs(x)));
    }

    // xIELU from far left of its bend to the right, and so near to 0 that expm1 must not lose its digits.
    auto inner = draw(4 * kDim, 5, 3.0f);
    for (int64_t i = 0; i < kDim; ++i) inner[i] *= std::pow(10.0f, -static_cast<float>(i % 8));
    inner[0] = 0;
    inner[1] = -1e-7f;
    inner[2] = -120.0f;
    const Xielu numbers{.alpha_p = 0.9f, .alpha_n = 0.7f, .beta = 0.45f, .eps = -1e-6f};
    const auto grad_out = draw(4 * kDim, 6);
    std::vector<float> result(inner.size()), gradient = inner;
    double grad_alpha[2] = {1.0, 2.0}, expected_p = 1.0, expected_n = 2.0;  // added to
    variant.f32.xielu(inner.data(), result.data(), 4, kDim, numbers);
    variant.f32.xielu_backward(gradient.data(), grad_out.data(), 4, kDim, numbers, grad_alpha);
    for (size_t i = 0; i < inner.size(); ++i) {
      const double x = inner[i], ap = numbers.alpha_p, an = numbers.alpha_n, beta = numbers.beta, eps = numbers.eps;
      const double bend = std::expm1(std::min(x, eps)) - x;
      const double expected = x > 0 ? ap * x * x + beta * x : an * bend + beta * x;
      const double slope = x > 0 ? 2 * ap * x + beta : an * ((x < eps ? std::exp(x) : 0) - 1) + beta;
      // Left of the bend the two terms nearly cancel: each is exact to its own digits.
      const double terms = x > 0 ? expected : std::abs(an * bend) + std::abs(beta * x);
      EXPECT_NEAR(result[i], expected, 1e-6 * terms) << x;
      EXPECT_NEAR(gradient[i], grad_out[i] * slope, 1e-6 * std::max(1.0, std::abs(slope)) * std::abs(grad_out[i])) << x;
      (x > 0 ? expected_p : expected_n) += grad_out[i] * (x > 0 ? x * x : bend);
    }
    EXPECT_NEAR(grad_alpha[0], expected_p, 1e-4);
    EXPECT_NEAR(grad_alpha[1], expected_n, 1e-4);

    auto logits = draw(1031, 4, 6.0f);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const auto original = logits;
    const double loss = variant.f32.cross_entropy(logits.data(), 1031, 17, 0.5f);
    EXPECT_NEAR(loss, std::log(sum) - original[17], 1e-6 * std::abs(loss));
    for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], 0.5 * (std::exp(original[i]) / sum - (i == 17)), 2e-7);
  }
}

TEST(Kernels, SoftmaxSurvivesExtremeScoresAndHidesTheFuture) {
  for (const Kernels& variant : variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<float> scores{1e4f, -1e4f, 3.0f, 3.0f, -200.0f, 0.0f, 5.0f, 5.0f};
    variant.f32.causal_softmax(scores.data(), 2, 4, 1, 1, 0);
    EXPECT_FLOAT_EQ(scores[0], 1.0f);
    EXPECT_EQ(scores[2], 0.0f);
    EXPECT_EQ(scores[3], 0.0f);
    EXPECT_NEAR(scores[6], 1 / (1 + std::exp(-5.0)), 1e-6);
    EXPECT_EQ(scores[7], 0.0f);
  }
}

TEST(Kernels, XieluInBf16IsTheRoundedOneOfFloat32) {
  constexpr int64_t kDim = 77;
  const Xielu numbers{.alpha_p = 0.9f, .alpha_n = 0.7f, .beta = 0.45f, .eps = -1e-6f};
  const auto rounded = [](float value) { return bf16{static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16)}; };
  const auto wide = [](bf16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); };
  for (const Kernels& variant : variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<bf16> x, grad_out, out(kDim);
    for (const float value : draw(kDim, 7, 2.0f)) x.push_back(rounded(value));
    for (const float value : draw(kDim, 8)) grad_out.push_back(rounded(value));
    std::vector<float> x_f32, grad_out_f32, out_f32(kDim);
    for (int64_t i = 0; i < kDim; ++i) {
      x_f32.push_back(wide(x[i]));
      grad_out_f32.push_back(wide(grad_out[i]));
    }
    double grad_alpha[2] = {}, grad_alpha_f32[2] = {};
    variant.bf.xielu(x.data(), out.data(), 1, kDim, numbers);
    variant.f32.xielu(x_f32.data(), out_f32.data(), 1, kDim, numbers);
    variant.bf.xielu_backward(x.data(), grad_out.data(), 1, kDim, numbers, grad_alpha);
    variant.f32.xielu_backward(x_f32.data(), grad_out_f32.data(), 1, kDim, numbers, grad_alpha_f32);
    for (int64_t i = 0; i < kDim; ++i) {
      EXPECT_NEAR(wide(out[i]), out_f32[i], std::abs(out_f32[i]) / 255);
      EXPECT_NEAR(wide(x[i]), x_f32[i], std::abs(x_f32[i]) / 255);
    }
    EXPECT_NEAR(grad_alpha[0], grad_alpha_f32[0], 1e-5 * std::abs(grad_alpha_f32[0]));
    EXPECT_NEAR(grad_alpha[1], grad_alpha_f32[1], 1e-5 * std::abs(grad_alpha_f32[1]));
  }
}

TEST(Kernels, AWindowHidesTheDistantPast) {
  for (const Kernels& variant : variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<float> scores{9.0f, 1.0f, 1.0f, 7.0f, 9.0f, 9.0f, 2.0f, 2.0f};
    variant.f32.causal_softmax(scores.data(), 2, 4, 1, 2, 2);  // positions 2 and 3, two keys each
    EXPECT_EQ(scores, (std::vector<float>{0, 0.5f, 0.5f, 0, 0, 0, 0.5f, 0.5f}));
  }
}

/// The formulas of torch.optim.AdamW in double. Betas rounded before they are subtracted from 1 make every first step 6.4e-6 too long.
TEST(Kernels, AdamWStepsAsInDouble) {
  const std::vector<float> start{0, 0, 0.5f, -2.0f}, grad{3e-7f, -2.0f, 0.01f, 5.0f};
  for (const Kernels& variant : variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<float> parameter = start, moment(4), square(4);
    std::vector<double> expected(start.begin(), start.end()), m(4), v(4);
    for (int step = 1; step <= 5; ++step) {
      const double correction1 = 1 - std::pow(0.9, step), correction2 = 1 - std::pow(0.999, step);
      const AdamW options{.lr = 2e-3,
                          .beta1 = 0.9,
                          .beta2 = 0.999,
                          .eps = 1e-8,
                          .weight_decay = 0.01,
                          .bias_correction1 = correction1,
                          .bias_correction2_sqrt = std::sqrt(correction2),
                          .grad_scale = 0.25};
      variant.adamw_f32(options, grad.data(), parameter.data(), moment.data(), square.data(), nullptr, 4);
      for (size_t i = 0; i < 4; ++i) {
        const double g = 0.25 * static_cast<double>(grad[i]);
        m[i] += (1 - 0.9) * (g - m[i]);
        v[i] = 0.999 * v[i] + (1 - 0.999) * g * g;
        expected[i] = expected[i] * (1 - 2e-3 * 0.01) - 2e-3 / correction1 * m[i] / (std::sqrt(v[i]) / std::sqrt(correction2) + 1e-8);
        EXPECT_NEAR(parameter[i], expected[i], 5e-7 * std::abs(expected[i])) << "step " << step << ", element " << i;
      }
    }
  }
}

TEST(Kernels, BfloatIsRoundedToNearestEven) {
  for (const Kernels& variant : variants()) {
    SCOPED_TRACE(variant.name);
    std::vector<float> parameter{1.00390625f, 1.01171875f, 1.005f, -1.00390625f}, zero(4), moment(4), square(4);
    std::vector<bf16> copy(4);
    const AdamW still{.lr = 0,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .eps = 1e-8,
                      .weight_decay = 0,
                      .bias_correction1 = 1,
                      .bias_correction2_sqrt = 1,
                      .grad_scale = 1};
    variant.adamw_f32(still, zero.data(), parameter.data(), moment.data(), square.data(), copy.data(), 4);
    EXPECT_EQ(copy[0].bits, 0x3f80);  // halfway between 1 and 1 + 2^-7: to even
    EXPECT_EQ(copy[1].bits, 0x3f82);  // halfway, the other way
    EXPECT_EQ(copy[2].bits, 0x3f81);
    EXPECT_EQ(copy[3].bits, 0xbf80);
  }
}

}  // namespace
}  // namespace multimeditron::kernels
