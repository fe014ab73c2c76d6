// Images a second of one vision tower, for vision.py.
//   build/bench/vision_tower FOLDER PIXELS.safetensors fp32|bf16 frozen|trained SECONDS FEATURES_FOLDER
// FOLDER: an encoder as recipes name it; PIXELS: a tensor `pixel_values` [N, 3, S, S]. Prints the seconds of each pass over them as a JSON
// list (frozen: forward without a graph; trained: forward and backward of all weights), and writes the features of the first.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "base/error.h"
#include "models/graph.h"
#include "models/multimodal/tensor_sources.h"
#include "models/tensors.h"
#include "models/vision/folder.h"

namespace multimeditron {
namespace {

int measure(const std::string& folder, const std::string& pixel_file, bool is_bf16, bool is_trained, double wanted_s,
            const std::string& features_folder) {
  const at::ScalarType dtype = is_bf16 ? at::kBFloat16 : at::kFloat;
  const VisionFolder source = read_vision_folder(folder);
  const std::unique_ptr<VisionTower> tower = make_vision_tower(source.config);
  const auto buckets = tower->make_buckets(std::string(tower_name(source.config.kind)) + ".", "tower");
  TensorSources sources;
  sources.add(source.weights);
  for (const auto& bucket : buckets) {
    allocate(*bucket, dtype);
    for (Parameter* parameter : bucket->parameters) parameter->data.copy_(to_tensor(*sources.find(parameter->name)->view));
    set_trained(*bucket, is_trained, dtype);
  }
  const SafetensorsReader pixels(pixel_file);
  const at::Tensor pixel_values = to_tensor(*pixels.find("pixel_values"));

  at::Tensor features;
  std::vector<double> seconds;
  double total = 0;
  while (total < wanted_s || seconds.size() < 3) {
    const auto start = std::chrono::steady_clock::now();
    at::Tensor output;
    if (is_trained) {
      GraphLeaves leaves(*tower);
      {
        const GraphLeaves::Scope scope(leaves);
        const at::AutoGradMode mode(true);
        output = tower->forward(pixel_values);
      }
      leaves.backward({output}, {at::ones_like(output)});
    } else {
      const at::NoGradGuard no_grad;
      output = tower->forward(pixel_values);
    }
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    total += seconds.back();
    if (!features.defined()) features = output.detach().to(at::kFloat).contiguous();
  }
  std::puts(fmt::format("[{}]", fmt::join(seconds, ", ")).c_str());
  write_safetensors(features_folder, "features", {{.name = "features", .dtype = DType::kF32, .shape = features.sizes().vec(), .bytes = [&] {
                                                     return std::span(static_cast<const std::byte*>(features.const_data_ptr()),
                                                                      features.nbytes());
                                                   }}});
  return 0;
}

}  // namespace
}  // namespace multimeditron

int main(int count, char** arguments) {
  if (count != 7) return std::fputs("see the head of vision_tower.cpp\n", stderr), 2;
  try {
    return multimeditron::measure(arguments[1], arguments[2], std::string(arguments[3]) == "bf16", std::string(arguments[4]) == "trained",
                                  std::stod(arguments[5]), arguments[6]);
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    return 1;
  }
}
