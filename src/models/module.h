#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace multimeditron {

struct Bucket;

/// What a tensor of a checkpoint is to the model: learnt, or a buffer kept beside what is learnt, never trained and not counted as a
/// parameter. Running statistics of a batch norm, constants of an activation; a count of batches is an integer whatever the model computes
/// in.
enum class Role { kLearnt, kStatistic, kConstant, kCount };

/// A tensor under its checkpoint name. Until its bucket is allocated it has a shape only, so that the tree of a model of any size costs
/// nothing.
struct Parameter {
  std::string name;  ///< the full name in the checkpoint
  std::vector<int64_t> shape;
  at::Tensor data;  ///< a view of its bucket's `data`
  at::Tensor grad;  ///< a view of its bucket's `grad`; undefined while frozen
  Bucket* bucket = nullptr;
  bool is_norm = false;     ///< belongs to a LayerNorm or RMSNorm: not decayed
  bool is_trained = false;  ///< set by the training mode
  Role role = Role::kLearnt;

  int64_t numel() const;
};

/// All parameters of one layer or component in one flat buffer: clipping, AdamW, casting and sharding are one operation a bucket.
/// Parameters lie side by side in the order of registration, so that neighbours (q, k, v; gate, up) are one matrix.
struct Bucket {
  std::string name;  ///< "model.model.layers.3"
  std::vector<Parameter*> parameters;
  at::Tensor data;  ///< [numel], compute dtype
  at::Tensor grad;  ///< [numel], float32 where gradients of several micro-batches are added, else the compute dtype; undefined while frozen
  Role role = Role::kLearnt;  ///< of all its parameters; only what is learnt can be trained
  bool grad_is_stale = true;  ///< holds an earlier step's values: the next writer overwrites, does not add

  int64_t numel() const;
  bool is_trained() const { return grad.defined(); }
};

/// A part of a model. Children and parameters are registered under the names that Hugging Face gives them, so that the tree is the list
/// of the checkpoint's tensors. (LibTorch's own nn::Module would bring 10 s of compile time to each file, and tensors instead of shapes.)
class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Own parameters, then the children's, in order of registration; each with its full name below `prefix` ("model.").
  void visit(const std::string& prefix, const std::function<void(const std::string& name, Parameter& parameter)>& function);

  /// Names every parameter and gathers them into buckets: one for each module that called `own_bucket()`, the rest in their parent's.
  /// Buffers lie beside it, in `NAME.statistics`, `NAME.constants` and `NAME.counts`.
  std::vector<std::unique_ptr<Bucket>> make_buckets(const std::string& prefix, const std::string& root_name);

 protected:
  Parameter& register_parameter(std::string name, std::vector<int64_t> shape, bool is_norm = false);
  /// A tensor that belongs to the checkpoint, but is not learnt.
  Parameter& register_buffer(std::string name, std::vector<int64_t> shape, Role role);
  void register_module(std::string name, Module& child);
  void own_bucket() { owns_bucket_ = true; }

 private:
  void gather(const std::string& prefix, Bucket* bucket, std::vector<std::unique_ptr<Bucket>>& buckets);

  std::vector<std::pair<std::string, std::unique_ptr<Parameter>>> parameters_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool owns_bucket_ = false;
};

/// Allocates `bucket.data` in `dtype` (counts: in int64) and makes each parameter a view of it.
void allocate(Bucket& bucket, at::ScalarType dtype);

/// Converts an allocated bucket's data; its parameters become views of the new one. Returns the old data.
at::Tensor convert(Bucket& bucket, at::ScalarType dtype);

/// Gives a bucket gradients in `grad_dtype` (an undefined type frees them) and marks its parameters as trained. Gradients start stale.
/// Buffers stay as they are.
void set_trained(Bucket& bucket, bool trained, at::ScalarType grad_dtype);

/// Makes an untouched bucket's gradient zero, so that it can be added to or read.
void ensure_gradient(Bucket& bucket);

/// dW of a linear layer: parameter.grad (+)= grad_output^T @ input. `grad_output`: [rows, out], `input`: [rows, in].
/// `weight_grad`: a [out, in] view of the bucket's grad (several neighbouring parameters at once where merged).
void accumulate_weight_gradient(const at::Tensor& weight_grad, const at::Tensor& grad_output, const at::Tensor& input, bool overwrite);

}  // namespace multimeditron
