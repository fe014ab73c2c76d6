#include "models/module.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

namespace multimeditron {
namespace {

int64_t product(const std::vector<int64_t>& shape) {
  int64_t numel = 1;
  for (const int64_t size : shape) numel *= size;
  return numel;
}

void view_data(Bucket& bucket) {
  int64_t offset = 0;
  for (Parameter* parameter : bucket.parameters) {
    parameter->data = bucket.data.narrow(0, offset, parameter->numel()).view(parameter->shape);
    offset += parameter->numel();
  }
}

/// `bucket`, or the one beside it that holds its buffers of this role.
Bucket& bucket_for(Role role, Bucket& bucket, std::vector<std::unique_ptr<Bucket>>& buckets) {
  if (role == Role::kLearnt) return bucket;
  const std::string name = bucket.name + (role == Role::kCount ? ".counts" : role == Role::kConstant ? ".constants" : ".statistics");
  for (auto each = buckets.rbegin(); each != buckets.rend(); ++each) {
    if ((*each)->name == name) return **each;
  }
  buckets.push_back(std::make_unique<Bucket>());
  buckets.back()->name = name;
  buckets.back()->role = role;
  return *buckets.back();
}

}  // namespace

int64_t Parameter::numel() const {
  return product(shape);
}

int64_t Bucket::numel() const {
  int64_t numel = 0;
  for (const Parameter* parameter : parameters) numel += parameter->numel();
  return numel;
}

Parameter& Module::register_parameter(std::string name, std::vector<int64_t> shape, bool is_norm) {
  auto parameter = std::make_unique<Parameter>();
  parameter->shape = std::move(shape);
  parameter->is_norm = is_norm;
  parameters_.emplace_back(std::move(name), std::move(parameter));
  return *parameters_.back().second;
}

Parameter& Module::register_buffer(std::string name, std::vector<int64_t> shape, Role role) {
  Parameter& parameter = register_parameter(std::move(name), std::move(shape));
  parameter.role = role;
  return parameter;
}

void Module::register_module(std::string name, Module& child) {
  children_.emplace_back(std::move(name), &child);
}

void Module::visit(const std::string& prefix, const std::function<void(const std::string&, Parameter&)>& function) {
  for (auto& [name, parameter] : parameters_) function(prefix + name, *parameter);
  for (auto& [name, child] : children_) child->visit(prefix + name + ".", function);
}

std::vector<std::unique_ptr<Bucket>> Module::make_buckets(const std::string& prefix, const std::string& root_name) {
  std::vector<std::unique_ptr<Bucket>> buckets;
  buckets.push_back(std::make_unique<Bucket>());
  buckets.back()->name = root_name;
  gather(prefix, buckets.back().get(), buckets);
  std::erase_if(buckets, [](const auto& bucket) { return bucket->parameters.empty(); });
  return buckets;
}

void Module::gather(const std::string& prefix, Bucket* bucket, std::vector<std::unique_ptr<Bucket>>& buckets) {
  if (owns_bucket_) {
    buckets.push_back(std::make_unique<Bucket>());
    bucket = buckets.back().get();
    bucket->name = prefix.substr(0, prefix.size() - 1);
  }
  for (auto& [name, parameter] : parameters_) {
    Bucket& home = bucket_for(parameter->role, *bucket, buckets);
    parameter->name = prefix + name;
    parameter->bucket = &home;
    home.parameters.push_back(parameter.get());
  }
  for (auto& [name, child] : children_) child->gather(prefix + name + ".", bucket, buckets);
}

void allocate(Bucket& bucket, at::ScalarType dtype) {
  bucket.data = at::empty({bucket.numel()}, bucket.role == Role::kCount ? at::kLong : dtype);
  view_data(bucket);
}

at::Tensor convert(Bucket& bucket, at::ScalarType dtype) {
  at::Tensor old = bucket.data;
  bucket.data = old.to(dtype);
  view_data(bucket);
  return old;
}

void set_trained(Bucket& bucket, bool trained, at::ScalarType grad_dtype) {
  if (bucket.role != Role::kLearnt) return;
  bucket.grad = trained ? at::zeros({bucket.numel()}, grad_dtype) : at::Tensor();
  bucket.grad_is_stale = true;
  int64_t offset = 0;
  for (Parameter* parameter : bucket.parameters) {
    parameter->is_trained = trained;
    parameter->grad = trained ? bucket.grad.narrow(0, offset, parameter->numel()).view(parameter->shape) : at::Tensor();
    offset += parameter->numel();
  }
}

void ensure_gradient(Bucket& bucket) {
  if (!bucket.grad_is_stale || !bucket.grad.defined()) return;
  bucket.grad.zero_();
  bucket.grad_is_stale = false;
}

void accumulate_weight_gradient(const at::Tensor& weight_grad, const at::Tensor& grad_output, const at::Tensor& input, bool overwrite) {
  if (weight_grad.scalar_type() == grad_output.scalar_type()) {
    at::Tensor out = weight_grad;
    if (overwrite) {
      at::mm_out(out, grad_output.t(), input);
    } else {
      at::addmm_out(out, weight_grad, grad_output.t(), input);
    }
    return;
  }
  // bf16 products added up in float32: small terms of later micro-batches would be lost in bf16.
  const at::Tensor product = at::mm(grad_output.t(), input);
  if (overwrite) {
    weight_grad.copy_(product);
  } else {
    weight_grad.add_(product);
  }
}

}  // namespace multimeditron
