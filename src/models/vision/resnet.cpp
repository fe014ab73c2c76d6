#include "models/vision/resnet.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/uniform.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "base/error.h"

namespace multimeditron {
namespace {

constexpr double kBatchNormEps = 1e-5;
constexpr double kBatchNormMomentum = 0.1;

at::Tensor pool_stem(const at::Tensor& x) {
  return at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1});
}

[[noreturn]] void refuse_shape(const std::string& where, const std::string& name, const std::string& found) {
  throw UserError("these weights are no ResNet of bottleneck blocks",
                  {.where = fmt::format("{}, tensor {}", where, name),
                   .found = found,
                   .fix = "name a folder with a gating network, or with the weights of a ResNet-50"});
}

}  // namespace

ResNetShape ResNetShape::from_widths(const std::vector<int64_t>& widths, const std::vector<int64_t>& blocks) {
  ResNetShape shape{.stem_channels = widths.front(), .stages = {}};
  for (size_t i = 0; i < widths.size(); ++i) shape.stages.push_back({blocks[i], widths[i], 4 * widths[i]});
  return shape;
}

ResNetShape ResNetShape::from_tensors(const std::function<const std::vector<int64_t>*(const std::string&)>& shape_of,
                                      const std::string& where) {
  constexpr size_t kStages = 4;
  const auto convolution = [&](const std::string& name) -> const std::vector<int64_t>& {
    const std::vector<int64_t>* shape = shape_of(name);
    if (shape == nullptr) refuse_shape(where, name, "it is missing");
    if (shape->size() != 4 || (*shape)[0] < 1)
      refuse_shape(where, name, fmt::format("[{}] where 4 sizes were expected", fmt::join(*shape, ", ")));
    return *shape;
  };
  ResNetShape shape{.stem_channels = convolution("conv1.weight")[0], .stages = {}};
  for (size_t stage = 1; stage <= kStages; ++stage) {
    const std::string layer = fmt::format("layer{}.", stage);
    Stage& each = shape.stages.emplace_back();
    each.width = convolution(layer + "0.conv1.weight")[0];
    each.out_channels = convolution(layer + "0.conv3.weight")[0];
    while (shape_of(fmt::format("{}{}.conv1.weight", layer, each.blocks)) != nullptr) ++each.blocks;
  }
  return shape;
}

at::Tensor ConvNorm::operator()(const at::Tensor& x, BatchNormMode mode) const {
  const at::Tensor y = at::conv2d(x, conv->data, {}, {stride, stride}, {padding, padding});
  const bool training = mode == BatchNormMode::kBatch;
  if (training) num_batches_tracked->data.add_(1);
  return at::batch_norm(y, weight->data, bias->data, running_mean->data, running_var->data, training, kBatchNormMomentum, kBatchNormEps,
                        /*cudnn_enabled=*/false);
}

ConvNorm ConvNormModule::add(const std::string& conv, const std::string& norm, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return {.conv = &register_parameter(conv + ".weight", {out, in, kernel, kernel}),
          .weight = &register_parameter(norm + ".weight", {out}),
          .bias = &register_parameter(norm + ".bias", {out}),
          .running_mean = &register_buffer(norm + ".running_mean", {out}, Role::kStatistic),
          .running_var = &register_buffer(norm + ".running_var", {out}, Role::kStatistic),
          .num_batches_tracked = &register_buffer(norm + ".num_batches_tracked", {}, Role::kCount),
          .stride = stride,
          .padding = kernel / 2};
}

ResNet::Bottleneck::Bottleneck(int64_t in, int64_t width, int64_t out, int64_t stride)
    : first(add("conv1", "bn1", in, width, 1, 1)),
      second(add("conv2", "bn2", width, width, 3, stride)),
      third(add("conv3", "bn3", width, out, 1, 1)) {
  if (stride != 1 || in != out) downsample = add("downsample.0", "downsample.1", in, out, 1, stride);
}

ResNet::Linear::Linear(int64_t in, int64_t out) {
  own_bucket();
  weight = &register_parameter("weight", {out, in});
  bias = &register_parameter("bias", {out});
}

ResNet::ResNet(const ResNetShape& shape, int64_t num_classes)
    : shape_(shape), stem_(add("conv1", "bn1", 3, shape.stem_channels, 7, 2)), fc_(shape.num_features(), num_classes) {
  own_bucket();
  int64_t channels = shape.stem_channels;
  for (size_t stage = 0; stage < shape.stages.size(); ++stage) {
    const ResNetShape::Stage& each = shape.stages[stage];
    auto& blocks = layers_.emplace_back();
    for (int64_t block = 0; block < each.blocks; ++block) {
      const int64_t stride = block == 0 && stage > 0 ? 2 : 1;
      blocks.push_back(std::make_unique<Bottleneck>(channels, each.width, each.out_channels, stride));
      register_module(fmt::format("layer{}.{}", stage + 1, block), *blocks.back());
      channels = each.out_channels;
    }
  }
  register_module("fc", fc_);
}

ResNet::~ResNet() = default;

/// A convolution with its batch norm's scale in the weights and shift as bias.
struct ResNet::Folded {
  struct Conv {
    at::Tensor weight, bias;
    int64_t stride, padding;

    explicit Conv(const ConvNorm& source) : stride(source.stride), padding(source.padding) {
      const at::Tensor scale =
          source.weight->data.to(at::kFloat) * at::rsqrt(source.running_var->data.to(at::kFloat) + kBatchNormEps);  // [out]
      const at::ScalarType dtype = source.conv->data.scalar_type();
      weight = (source.conv->data.to(at::kFloat) * scale.view({-1, 1, 1, 1})).to(dtype, false, false, at::MemoryFormat::ChannelsLast);
      bias = (source.bias->data.to(at::kFloat) - source.running_mean->data.to(at::kFloat) * scale).to(dtype);
    }
    at::Tensor operator()(const at::Tensor& x) const { return at::conv2d(x, weight, bias, {stride, stride}, {padding, padding}); }
  };
  struct Block {
    Conv first, second, third;
    std::optional<Conv> downsample;
  };
  Conv stem;
  std::vector<Block> blocks;
  uint64_t version;  // of the parameters and statistics that it was made from
};

namespace {

/// Changes whenever something is written into the tensors of a bucket through LibTorch.
uint64_t version_of(const ConvNorm& any) {
  return static_cast<uint64_t>(any.conv->bucket->data._version()) + static_cast<uint64_t>(any.running_mean->bucket->data._version());
}

}  // namespace

std::shared_ptr<const ResNet::Folded> ResNet::folded() const {
  const std::lock_guard lock(mutex_);
  const uint64_t version = version_of(stem_);
  if (folded_ == nullptr || folded_->version != version) {
    auto fresh = std::make_shared<Folded>(Folded{.stem = Folded::Conv(stem_), .blocks = {}, .version = version});
    for (const auto& layer : layers_) {
      for (const auto& block : layer) {
        fresh->blocks.push_back({.first = Folded::Conv(block->first),
                                 .second = Folded::Conv(block->second),
                                 .third = Folded::Conv(block->third),
                                 .downsample = block->downsample ? std::optional(Folded::Conv(*block->downsample)) : std::nullopt});
      }
    }
    folded_ = std::move(fresh);
  }
  return folded_;
}

at::Tensor ResNet::folded_features(const at::Tensor& pixel_values) const {
  const std::shared_ptr<const Folded> network = folded();
  at::Tensor x = pool_stem(network->stem(pixel_values).relu_());
  for (const Folded::Block& block : network->blocks) {
    at::Tensor y = block.third(block.second(block.first(x).relu_()).relu_());
    x = y.add_(block.downsample ? (*block.downsample)(x) : x).relu_();
  }
  return x.mean({2, 3});
}

at::Tensor ResNet::features(const at::Tensor& pixel_values, BatchNormMode mode) const {
  at::Tensor x = pixel_values.to(stem_.conv->data.scalar_type());
  if (mode == BatchNormMode::kRunning && !stem_.conv->is_trained) return folded_features(x.contiguous(at::MemoryFormat::ChannelsLast));
  // Planes lie apart here: LibTorch adds up a batch's statistics less exactly where channels come last.
  x = pool_stem(at::relu(stem_(x, mode)));
  for (const auto& layer : layers_) {
    for (const auto& block : layer) {
      const at::Tensor y = block->third(at::relu(block->second(at::relu(block->first(x, mode)), mode)), mode);
      x = at::relu(y + (block->downsample ? (*block->downsample)(x, mode) : x));
    }
  }
  return x.mean({2, 3});  // [N, num_features]
}

at::Tensor ResNet::classify(const at::Tensor& features) const {
  return at::linear(features, fc_.weight->data, fc_.bias->data);
}

void ResNet::initialise(uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  visit("", [&](const std::string& name, Parameter& parameter) {
    if (parameter.shape.size() == 4) {
      const double fan_out = static_cast<double>(parameter.numel() / parameter.shape[1]);
      parameter.data.copy_(at::normal(0.0, std::sqrt(2 / fan_out), parameter.shape, generator, at::kFloat));
    } else if (name.starts_with("fc.")) {
      const double bound = 1 / std::sqrt(static_cast<double>(shape_.num_features()));
      parameter.data.uniform_(-bound, bound, generator);
    } else {
      const bool is_one = name.ends_with(".running_var") || (name.ends_with(".weight"));
      parameter.data.fill_(is_one ? 1 : 0);
    }
  });
}

}  // namespace multimeditron
