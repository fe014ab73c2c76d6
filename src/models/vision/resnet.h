#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "models/module.h"

namespace multimeditron {

/// Channels and numbers of blocks of a ResNet of bottleneck blocks (arXiv:1512.03385; stride in the 3x3 convolution).
struct ResNetShape {
  struct Stage {
    int64_t blocks = 0;
    int64_t width = 0;         ///< channels inside a block
    int64_t out_channels = 0;  ///< channels between blocks
    bool operator==(const Stage&) const = default;
  };
  int64_t stem_channels = 64;
  std::vector<Stage> stages{{3, 64, 256}, {4, 128, 512}, {6, 256, 1024}, {3, 512, 2048}};  ///< ResNet-50

  bool operator==(const ResNetShape&) const = default;
  int64_t num_features() const { return stages.back().out_channels; }
  /// A network of ResNet-50's form: `widths` of its stages, between blocks four times as many channels, the first width in the stem.
  static ResNetShape from_widths(const std::vector<int64_t>& widths, const std::vector<int64_t>& blocks);
  /// Read off the tensors: `shape_of` gives the shape of one under its torchvision name ("layer1.0.conv1.weight"), or null. Throws
  /// UserError naming `where` and the tensor where they are no such network.
  static ResNetShape from_tensors(const std::function<const std::vector<int64_t>*(const std::string& name)>& shape_of,
                                  const std::string& where);
};

/// How a batch norm gets mean and variance: its running statistics (evaluation), or the batch's own, which it then adds to them.
enum class BatchNormMode { kRunning, kBatch };

/// A convolution without bias and its batch norm, each under a name of its own in their parent.
struct ConvNorm {
  Parameter *conv, *weight, *bias, *running_mean, *running_var, *num_batches_tracked;
  int64_t stride, padding;
  at::Tensor operator()(const at::Tensor& x, BatchNormMode mode) const;
};

class ConvNormModule : public Module {
 protected:
  ConvNorm add(const std::string& conv, const std::string& norm, int64_t in, int64_t out, int64_t kernel, int64_t stride);
};

/// A ResNet under torchvision's names: conv1, bn1, layer{1..4}.B.{conv1,bn1,conv2,bn2,conv3,bn3,downsample.{0,1}}, fc. What is learnt lies
/// in two buckets, the backbone's and fc's.
class ResNet : public ConvNormModule {
 public:
  ResNet(const ResNetShape& shape, int64_t num_classes);
  ~ResNet() override;

  const ResNetShape& shape() const { return shape_; }

  /// `pixel_values`: [N, 3, H, W] -> [N, num_features]: the last stage's output, averaged over all places, in the parameters' dtype.
  /// Differentiable where its parameters are; where none is trained, batch norms are folded into the convolutions at the first call.
  at::Tensor features(const at::Tensor& pixel_values, BatchNormMode mode = BatchNormMode::kRunning) const;
  /// [N, num_features] -> [N, num_classes]
  at::Tensor classify(const at::Tensor& features) const;

  /// Draws all parameters as torchvision does (arXiv:1502.01852, fan out; fc uniform), with running statistics of 0 and 1.
  void initialise(uint64_t seed);

 private:
  struct Bottleneck : ConvNormModule {
    Bottleneck(int64_t in, int64_t width, int64_t out, int64_t stride);
    ConvNorm first, second, third;
    std::optional<ConvNorm> downsample;
  };
  struct Linear : Module {
    Linear(int64_t in, int64_t out);
    Parameter *weight, *bias;
  };
  struct Folded;  // the network with batch norms folded into the convolutions

  std::shared_ptr<const Folded> folded() const;
  at::Tensor folded_features(const at::Tensor& pixel_values) const;

  ResNetShape shape_;
  ConvNorm stem_;
  std::vector<std::vector<std::unique_ptr<Bottleneck>>> layers_;
  Linear fc_;
  mutable std::mutex mutex_;  // of folded_
  mutable std::shared_ptr<const Folded> folded_;
};

}  // namespace multimeditron
