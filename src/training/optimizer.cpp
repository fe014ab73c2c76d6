#include "training/optimizer.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "models/layers/cpu_types.h"
#include "models/multimodal/model.h"
#include "models/tensors.h"

namespace multimeditron {
namespace {

// Blocks of fixed size: partial sums and thereby the norm's bits do not depend on the number of threads.
constexpr int64_t kBlock = 1 << 16;

double learning_rate_of(const std::string& bucket, const TrainingArguments& arguments, const CustomLr& custom) {
  const std::string component = component_of(bucket);
  if (component == "projector") return custom.projector.value_or(arguments.learning_rate);
  if (component == "vision" || component == "gate") return custom.vision.value_or(arguments.learning_rate);
  return arguments.learning_rate;
}

}  // namespace

bool is_excluded_from_decay(const Parameter& parameter) {
  if (parameter.is_norm) return true;
  std::string name = parameter.name;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word : {"bias", "layernorm", "rmsnorm"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  for (size_t start = 0; start < name.size();) {
    const size_t end = std::min(name.find('.', start), name.size());
    const std::string part = name.substr(start, end - start);
    if (part == "norm" || part.ends_with("_norm")) return true;
    start = end + 1;
  }
  return false;
}

Optimizer::Optimizer(std::span<const std::unique_ptr<Bucket>> buckets, at::ScalarType dtype, const TrainingArguments& arguments,
                     const CustomLr& custom_lr, Decay decay_rule)
    : arguments_(arguments) {
  for (const auto& bucket : buckets) {
    if (!bucket->is_trained()) continue;
    Slot slot{.bucket = bucket.get()};
    // Loaded for training, a bucket may still be in float32: its values become the masters. In a float32 model data and masters are one.
    if (bucket->data.scalar_type() == at::kFloat) slot.master = dtype != at::kFloat ? convert(*bucket, dtype) : bucket->data;
    const double learning_rate = learning_rate_of(bucket->name, arguments, custom_lr);
    int64_t offset = 0;
    for (const Parameter* parameter : bucket->parameters) {
      const double decay = decay_rule == Decay::kAll || !is_excluded_from_decay(*parameter) ? arguments.weight_decay : 0;
      if (!slot.groups.empty() && slot.groups.back().weight_decay == decay) {
        slot.groups.back().count += parameter->numel();
      } else {
        slot.groups.push_back({.offset = offset, .count = parameter->numel(), .learning_rate = learning_rate, .weight_decay = decay});
      }
      offset += parameter->numel();
    }
    slots_.push_back(std::move(slot));
  }
}

void Optimizer::Slot::ensure_state() {
  if (!master.defined()) master = bucket->data.to(at::kFloat);
  if (exp_avg.defined()) return;
  exp_avg = at::zeros({bucket->numel()}, at::kFloat);
  exp_avg_sq = at::zeros({bucket->numel()}, at::kFloat);
}

double Optimizer::gradient_norm() {
  double sum = 0;
  for (Slot& slot : slots_) {
    ensure_gradient(*slot.bucket);
    const at::Tensor& grad = slot.bucket->grad;
    const int64_t numel = grad.numel(), blocks = (numel + kBlock - 1) / kBlock;
    std::vector<double> parts(static_cast<size_t>(blocks));
    dispatch(grad.scalar_type(), [&](auto type) {
      using G = decltype(type);
      run_tasks(blocks, [&](int64_t block) {
        parts[block] = kernels::set<G>().sum_of_squares(const_pointer<G>(grad) + block * kBlock, std::min(kBlock, numel - block * kBlock));
      });
    });
    for (const double part : parts) sum += part;
  }
  return std::sqrt(sum);
}

void Optimizer::step(int64_t step, double lr_factor, double grad_scale) {
  const double t = static_cast<double>(step);
  kernels::AdamW options{.lr = 0,
                         .beta1 = arguments_.adam_beta1,
                         .beta2 = arguments_.adam_beta2,
                         .eps = arguments_.adam_epsilon,
                         .weight_decay = 0,
                         .bias_correction1 = 1 - std::pow(arguments_.adam_beta1, t),
                         .bias_correction2_sqrt = std::sqrt(1 - std::pow(arguments_.adam_beta2, t)),
                         .grad_scale = grad_scale};
  for (Slot& slot : slots_) {
    slot.ensure_state();
    float* master = slot.master.mutable_data_ptr<float>();
    float* exp_avg = slot.exp_avg.mutable_data_ptr<float>();
    float* exp_avg_sq = slot.exp_avg_sq.mutable_data_ptr<float>();
    kernels::bf16* copy = slot.bucket->data.scalar_type() == at::kFloat ? nullptr : pointer<kernels::bf16>(slot.bucket->data);
    for (const Group& group : slot.groups) {
      options.lr = group.learning_rate * lr_factor;
      options.weight_decay = group.weight_decay;
      dispatch(slot.bucket->grad.scalar_type(), [&](auto type) {
        using G = decltype(type);
        const G* grad = const_pointer<G>(slot.bucket->grad);
        run_tasks((group.count + kBlock - 1) / kBlock, [&](int64_t block) {
          const int64_t start = group.offset + block * kBlock, count = std::min(kBlock, group.offset + group.count - start);
          kernels::bf16* target = copy == nullptr ? nullptr : copy + start;
          if constexpr (std::is_same_v<G, float>) {
            kernels::active().adamw_f32(options, grad + start, master + start, exp_avg + start, exp_avg_sq + start, target, count);
          } else {
            kernels::active().adamw_bf16(options, grad + start, master + start, exp_avg + start, exp_avg_sq + start, target, count);
          }
        });
      });
    }
    slot.bucket->grad_is_stale = true;
  }
}

void Optimizer::limit(const Parameter& parameter, double maximum) {
  for (Slot& slot : slots_) {
    if (slot.bucket != parameter.bucket) continue;
    slot.ensure_state();
    const int64_t offset = parameter.data.storage_offset() - slot.bucket->data.storage_offset();
    at::Tensor master = slot.master.narrow(0, offset, parameter.numel());
    master.clamp_max_(maximum);
    if (!slot.master.is_same(slot.bucket->data)) slot.bucket->data.narrow(0, offset, parameter.numel()).copy_(master);
  }
}

std::vector<TensorSource> Optimizer::state() {
  std::vector<TensorSource> sources;
  for (Slot& slot : slots_) {
    slot.ensure_state();
    int64_t offset = 0;
    for (const Parameter* parameter : slot.bucket->parameters) {
      const auto add = [&](OptimizerPart part, const at::Tensor& flat) {
        const auto* bytes = reinterpret_cast<const std::byte*>(flat.const_data_ptr<float>() + offset);
        const auto size = static_cast<size_t>(parameter->numel()) * sizeof(float);
        sources.push_back(
            {.name = optimizer_key(part, parameter->name), .dtype = DType::kF32, .shape = parameter->shape, .bytes = [bytes, size] {
               return std::span(bytes, size);
             }});
      };
      add(OptimizerPart::kMaster, slot.master);
      add(OptimizerPart::kExpAvg, slot.exp_avg);
      add(OptimizerPart::kExpAvgSq, slot.exp_avg_sq);
      offset += parameter->numel();
    }
  }
  return sources;
}

void Optimizer::load_state(const SafetensorsReader& reader) {
  for (Slot& slot : slots_) {
    slot.ensure_state();
    int64_t offset = 0;
    for (const Parameter* parameter : slot.bucket->parameters) {
      const auto read = [&](OptimizerPart part, at::Tensor& flat) {
        const TensorView& view = optimizer_tensor(reader, part, parameter->name, parameter->shape);
        flat.narrow(0, offset, parameter->numel()).copy_(to_tensor(view).view(-1));
      };
      read(OptimizerPart::kMaster, slot.master);
      read(OptimizerPart::kExpAvg, slot.exp_avg);
      read(OptimizerPart::kExpAvgSq, slot.exp_avg_sq);
      offset += parameter->numel();
    }
    if (!slot.master.is_same(slot.bucket->data)) slot.bucket->data.copy_(slot.master);
  }
}

}  // namespace multimeditron
