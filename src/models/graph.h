#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "models/module.h"

namespace multimeditron {

/// The trained parameters of a part of the model as leaves of one autograd graph. What runs while `Scope` lives sees the leaves in the
/// parameters' places; gradients go to the parameters' buckets.
class GraphLeaves {
 public:
  GraphLeaves() = default;
  explicit GraphLeaves(Module& part);

  bool empty() const { return parameters_.empty(); }

  /// The leaves stand in for the parameters until its end.
  class Scope {
   public:
    explicit Scope(GraphLeaves& leaves) : leaves_(leaves) { leaves_.swap(); }
    ~Scope() { leaves_.swap(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    GraphLeaves& leaves_;
  };

  /// Adds the gradient of sum(`outputs` * `grads`) to the trained buckets. The graph is gone afterwards.
  void backward(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& grads);

 private:
  void swap();

  std::vector<Parameter*> parameters_;
  std::vector<at::Tensor> leaves_;
};

}  // namespace multimeditron
