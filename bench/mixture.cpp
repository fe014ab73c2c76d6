// Images a second of a mixture of five ViT-B/32 experts with ResNet-50 as the gate, frozen, weights at random, and what is spared where two
// of five are chosen. Runs are interleaved; each setting's fastest and median pass counts.
//   build/bench/mixture [fp32|bf16] [IMAGES] [ROUNDS]

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "models/multimodal/mixture_modality.h"

namespace multimeditron {
namespace {

struct Setting {
  std::string name, fusion, experts;
  int64_t top_k;
  bool one_by_one = false;  // an image at a time, as the original goes through a batch
};

struct Bench {
  Bench(const Setting& setting, at::ScalarType dtype) : setting(setting) {
    ModalityConfig config;
    config.spec.model_type = "moe_meditron_clip_pep";
    config.spec.hidden_size = 1024;
    config.spec.fusion_method = setting.fusion;
    config.spec.experts = setting.experts;
    config.spec.top_k_experts = setting.top_k;
    for (int e = 0; e < 5; ++e) {
      config.spec.expert_clip_names.push_back(fmt::format("expert-{}", e));
      config.experts.push_back(VisionConfig::from_json(Json{{"model_type", "clip"}, {"vision_config", Json::object()}}, "bench"));
    }
    config.vision = config.experts.front();
    config.gate.num_classes = 5;
    config.gate.class_names = config.spec.expert_clip_names;
    settle_modality(config, config.spec.hidden_size, "bench");
    mixture = std::make_unique<MixtureModality>(config);
    buckets = mixture->make_buckets("", "rest");
    at::Generator generator = at::detail::createCPUGenerator(1);
    for (const auto& bucket : buckets) {
      allocate(*bucket, dtype);
      for (Parameter* parameter : bucket->parameters) {
        if (parameter->role == Role::kCount) {
          parameter->data.zero_();
        } else if (parameter->role == Role::kStatistic || parameter->shape.size() < 2) {
          parameter->data.fill_(parameter->name.ends_with("weight") || parameter->name.ends_with("running_var") ? 1 : 0);
        } else {
          const double fan_in = static_cast<double>(parameter->numel() / parameter->shape[0]);
          parameter->data.copy_(at::randn(parameter->shape, generator, at::kFloat) / std::sqrt(fan_in));
        }
      }
    }
  }

  double pass(const at::Tensor& pixel_values) const {
    const auto start = std::chrono::steady_clock::now();
    if (setting.one_by_one) {
      for (int64_t n = 0; n < pixel_values.size(0); ++n) mixture->forward(pixel_values.narrow(0, n, 1), nullptr);
    } else {
      mixture->forward(pixel_values, nullptr);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Setting setting;
  std::unique_ptr<MixtureModality> mixture;
  std::vector<std::unique_ptr<Bucket>> buckets;
  std::vector<double> seconds;
};

}  // namespace
}  // namespace multimeditron

int main(int argc, char** argv) {
  using namespace multimeditron;
  const std::string precision = argc > 1 ? argv[1] : "bf16";
  const int64_t images = argc > 2 ? std::atoll(argv[2]) : 8;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 9;
  const at::ScalarType dtype = precision == "fp32" ? at::kFloat : at::kBFloat16;
  std::vector<Bench> benches;
  for (const Setting& setting : {Setting{"average, all 5", "weighted_average", "all", 5},
                                 {"average, all 5, image by image", "weighted_average", "all", 5, true},
                                 {"average, 2 of 5", "weighted_average", "top_k", 2},
                                 {"append, all 5", "sequence_append", "all", 5},
                                 {"append, 2 of 5", "sequence_append", "all", 2},
                                 {"cross attention, all 5", "cross_attn", "all", 5}})
    benches.emplace_back(setting, dtype);
  at::Generator generator = at::detail::createCPUGenerator(2);
  const at::Tensor pixel_values = at::randn({images, 3, 224, 224}, generator, at::kFloat);

  // Batched equals one by one.
  const at::Tensor whole = benches[0].mixture->forward(pixel_values, nullptr),
                   alone = benches[0].mixture->forward(pixel_values.narrow(0, 0, 1), nullptr);
  const double difference = (whole.narrow(0, 0, 1) - alone).abs().max().item<double>() / whole.abs().max().item<double>();
  if (!(difference < (dtype == at::kFloat ? 1e-4 : 0.1))) {
    std::printf("an image differs alone and among others: %g\n", difference);
    return 1;
  }
  for (int round = 0; round < rounds; ++round)
    for (Bench& bench : benches) bench.seconds.push_back(bench.pass(pixel_values));
  std::printf("%s\n", fmt::format("{} images, {}, {} threads, {} rounds; images a second, best (median)", images, precision,
                                  at::get_num_threads(), rounds)
                          .c_str());
  for (Bench& bench : benches) {
    std::sort(bench.seconds.begin(), bench.seconds.end());
    const ExpertPasses passes = bench.mixture->expert_passes();
    std::printf("%s\n", fmt::format("{:32} {:6.1f} ({:.1f}), experts run {:.0f} %", bench.setting.name,
                                    static_cast<double>(images) / bench.seconds.front(),
                                    static_cast<double>(images) / bench.seconds[bench.seconds.size() / 2],
                                    100.0 * static_cast<double>(passes.run) / static_cast<double>(passes.all))
                            .c_str());
  }
  return 0;
}
