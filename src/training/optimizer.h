#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/training_state.h"
#include "models/module.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// True where weight decay leaves a parameter alone, by Hugging Face's rule: biases, and parameters of normalisation layers.
bool is_excluded_from_decay(const Parameter& parameter);

/// Which parameters decay: Hugging Face's rule, or all of them, as torch.optim.AdamW over one group.
enum class Decay { kWithoutBiasesAndNorms, kAll };

/// AdamW on flat buckets with float32 masters and moments: one pass over each bucket reads the gradient, updates the master and writes the
/// weights in the model's dtype. In float32 the weights are their own masters.
class Optimizer {
 public:
  /// Takes over the trained ones of `buckets`: what is float32 becomes masters, and the bucket `dtype`. Base learning rates by component:
  /// `custom_lr.projector`, `custom_lr.vision`, else `learning_rate`.
  Optimizer(std::span<const std::unique_ptr<Bucket>> buckets, at::ScalarType dtype, const TrainingArguments& arguments,
            const CustomLr& custom_lr, Decay decay = Decay::kWithoutBiasesAndNorms);

  /// L2 norm over all trained gradients; makes untouched ones zero first.
  double gradient_norm();
  /// One step with learning rate base * `lr_factor`, gradients multiplied by `grad_scale` (clipping). `step` counts from 1. Gradients
  /// become stale.
  void step(int64_t step, double lr_factor, double grad_scale);

  /// Lowers what lies above `maximum` in a trained parameter.
  void limit(const Parameter& parameter, double maximum);

  /// For write_training_state: master, exp_avg and exp_avg_sq of every trained parameter.
  std::vector<TensorSource> state();
  /// Throws UserError where a tensor is missing or misshapen. Weights are set from the masters.
  void load_state(const SafetensorsReader& reader);

 private:
  struct Group {  // neighbouring parameters with the same decay and learning rate
    int64_t offset, count;
    double learning_rate, weight_decay;
  };
  struct Slot {
    Bucket* bucket;
    at::Tensor master, exp_avg, exp_avg_sq;  // float32 [numel]
    std::vector<Group> groups;

    void ensure_state();  // masters equal to the weights and moments of zero, made when the first step needs them: a run starts sooner
  };

  TrainingArguments arguments_;
  std::vector<Slot> slots_;
};

}  // namespace multimeditron
