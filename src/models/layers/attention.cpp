#include "models/layers/attention.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "models/layers/cpu_types.h"

namespace multimeditron {
namespace {

// Products of always new sizes would fill oneDNN's cache of primitives: lengths inside attention are rounded up.
constexpr int64_t kLengthMultiple = 16;
// Longer samples are done in tiles of queries, which skips most of what the causal mask hides, and their probabilities are computed again.
constexpr int64_t kMaxWhole = 512;
constexpr int64_t kTile = 256;

int64_t round_up(int64_t value) {
  return (value + kLengthMultiple - 1) / kLengthMultiple * kLengthMultiple;
}

/// One (sample, kv head). Queries in tiles of `tile` positions; tile i sees keys [0, keys(i)).
struct Task {
  int64_t first_row, length, padded, tile, kv_head;
  int64_t probs_offset;  ///< -1: the probabilities are computed again in the backward pass

  bool keeps_probs() const { return probs_offset >= 0; }
  int64_t num_tiles() const { return (padded + tile - 1) / tile; }
  int64_t tile_first(int64_t i) const { return i * tile; }
  int64_t tile_count(int64_t i) const { return std::min(tile, padded - i * tile); }
  int64_t keys(int64_t i) const { return tile_first(i) + tile_count(i); }
};

struct Plan {
  std::vector<Task> tasks;
  int64_t probs_numel = 0;
};

Plan make_plan(const SequenceLayout& layout, const kernels::HeadLayout& heads) {
  Plan plan;
  for (int64_t s = 0; s < layout.num_sequences(); ++s) {
    const int64_t length = layout.length(s);
    if (length == 0) continue;
    const int64_t padded = round_up(length);
    const bool whole = padded <= kMaxWhole;
    for (int64_t head = 0; head < heads.num_kv_heads; ++head) {
      plan.tasks.push_back({.first_row = layout.cu_seqlens[s],
                            .length = length,
                            .padded = padded,
                            .tile = whole ? padded : kTile,
                            .kv_head = head,
                            .probs_offset = whole ? plan.probs_numel : -1});
      if (whole) plan.probs_numel += padded * heads.groups() * padded;
    }
  }
  // Long tasks first: the last ones then fill the gaps between threads.
  std::stable_sort(plan.tasks.begin(), plan.tasks.end(), [](const Task& a, const Task& b) { return a.length > b.length; });
  return plan;
}

template <class T>
at::Tensor matrix(int64_t rows, int64_t columns) {
  return at::empty({rows, columns}, std::is_same_v<T, float> ? at::kFloat : at::kBFloat16);
}

template <class T>
void zero_tail(const at::Tensor& tensor, int64_t rows) {
  const int64_t columns = tensor.size(1);
  std::memset(static_cast<void*>(pointer<T>(tensor) + rows * columns), 0,
              static_cast<size_t>((tensor.size(0) - rows) * columns) * sizeof(T));
}

/// Rows of a head group out of the packed [T, num_heads * head_dim] layout into [positions * groups, head_dim].
template <class T>
void copy_group(const T* packed, int64_t packed_stride, T* group, int64_t group_row, int64_t positions) {
  for (int64_t t = 0; t < positions; ++t)
    std::memcpy(group + t * group_row, packed + t * packed_stride, static_cast<size_t>(group_row) * sizeof(T));
}

template <class T>
void gather_task(const T* qkv, const kernels::HeadLayout& heads, const kernels::QkTransform<T>& transform, const Task& task,
                 const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  kernels::set<T>().gather_heads(qkv + task.first_row * heads.row(), heads, transform, task.kv_head, 0, task.length, 0, pointer<T>(q),
                                 pointer<T>(k), pointer<T>(v));
  zero_tail<T>(q, task.length * heads.groups());
  zero_tail<T>(k, task.length);
  zero_tail<T>(v, task.length);
}

}  // namespace

float PackedAttention::scale() const {
  return 1.0f / std::sqrt(static_cast<float>(heads_.head_dim));
}

template <class T>
kernels::QkTransform<T> qk_transform(const PackedAttention& attention, const RotaryTable& rotary, const at::Tensor& q_norm,
                                     const at::Tensor& k_norm) {
  return {.q_weight = q_norm.defined() ? const_pointer<T>(q_norm) : nullptr,
          .k_weight = k_norm.defined() ? const_pointer<T>(k_norm) : nullptr,
          .eps = static_cast<float>(attention.norm_eps()),
          .cos = rotary.cos(),
          .sin = rotary.sin(),
          .q_scale = attention.scale()};
}
template kernels::QkTransform<float> qk_transform(const PackedAttention&, const RotaryTable&, const at::Tensor&, const at::Tensor&);
template kernels::QkTransform<kernels::bf16> qk_transform(const PackedAttention&, const RotaryTable&, const at::Tensor&, const at::Tensor&);

at::Tensor PackedAttention::forward(const at::Tensor& qkv, const SequenceLayout& layout, const RotaryTable& rotary,
                                    const at::Tensor& q_norm, const at::Tensor& k_norm, Saved* saved) const {
  return dispatch(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    return forward_typed<T>(qkv, layout, qk_transform<T>(*this, rotary, q_norm, k_norm), saved);
  });
}

template <class T>
at::Tensor PackedAttention::forward_typed(const at::Tensor& qkv, const SequenceLayout& layout, const kernels::QkTransform<T>& transform,
                                          Saved* saved) const {
  const int64_t groups = heads_.groups(), dim = heads_.head_dim, out_stride = heads_.num_heads * dim;
  const Plan plan = make_plan(layout, heads_);
  const at::Tensor out = matrix<T>(layout.num_tokens(), out_stride);
  if (saved != nullptr) saved->probs = matrix<T>(1, plan.probs_numel).flatten();

  run_tasks(static_cast<int64_t>(plan.tasks.size()), [&](int64_t index) {
    const Task& task = plan.tasks[index];
    const bool keep = saved != nullptr && task.keeps_probs();
    const at::Tensor q = matrix<T>(task.padded * groups, dim), k = matrix<T>(task.padded, dim), v = matrix<T>(task.padded, dim);
    gather_task(const_pointer<T>(qkv), heads_, transform, task, q, k, v);
    for (int64_t i = 0; i < task.num_tiles(); ++i) {
      const int64_t first = task.tile_first(i), rows = task.tile_count(i) * groups, keys = task.keys(i);
      at::Tensor probs = keep ? saved->probs.narrow(0, task.probs_offset, rows * keys).view({rows, keys}) : matrix<T>(rows, keys);
      at::mm_out(probs, q.narrow(0, first * groups, rows), k.narrow(0, 0, keys).t());
      kernels::set<T>().causal_softmax(pointer<T>(probs), rows, keys, groups, first, window_);
      const at::Tensor result = at::mm(probs, v.narrow(0, 0, keys));
      const int64_t positions = std::min(task.tile_count(i), task.length - first);
      T* target = pointer<T>(out) + (task.first_row + first) * out_stride + task.kv_head * groups * dim;
      for (int64_t t = 0; t < positions; ++t) {
        std::memcpy(target + t * out_stride, const_pointer<T>(result) + t * groups * dim, static_cast<size_t>(groups * dim) * sizeof(T));
      }
    }
  });
  return out;
}

at::Tensor PackedAttention::backward(const at::Tensor& grad_out, const at::Tensor& qkv, const Saved& saved, const SequenceLayout& layout,
                                     const RotaryTable& rotary, const at::Tensor& q_norm, const at::Tensor& k_norm,
                                     const at::Tensor& q_norm_grad, const at::Tensor& k_norm_grad) const {
  return dispatch(qkv.scalar_type(), [&](auto type) {
    using T = decltype(type);
    return backward_typed<T>(grad_out, qkv, saved, layout, qk_transform<T>(*this, rotary, q_norm, k_norm), q_norm_grad, k_norm_grad);
  });
}

template <class T>
at::Tensor PackedAttention::backward_typed(const at::Tensor& grad_out, const at::Tensor& qkv, const Saved& saved,
                                           const SequenceLayout& layout, const kernels::QkTransform<T>& transform,
                                           const at::Tensor& q_norm_grad, const at::Tensor& k_norm_grad) const {
  const int64_t groups = heads_.groups(), dim = heads_.head_dim, out_stride = heads_.num_heads * dim;
  const Plan plan = make_plan(layout, heads_);
  const auto num_tasks = static_cast<int64_t>(plan.tasks.size());
  const at::Tensor grad_qkv = matrix<T>(layout.num_tokens(), heads_.row());
  // One row of norm gradients a task, added up in the order of tasks afterwards: the same bits on any number of threads.
  const bool norm_gradients = q_norm_grad.defined();
  const at::Tensor norm_parts = norm_gradients ? at::zeros({num_tasks, 2, dim}, at::kFloat) : at::Tensor();

  run_tasks(num_tasks, [&](int64_t index) {
    const Task& task = plan.tasks[index];
    const at::Tensor q = matrix<T>(task.padded * groups, dim), k = matrix<T>(task.padded, dim), v = matrix<T>(task.padded, dim);
    gather_task(const_pointer<T>(qkv), heads_, transform, task, q, k, v);
    const at::Tensor grad_heads = matrix<T>(task.padded * groups, dim);
    copy_group(const_pointer<T>(grad_out) + task.first_row * out_stride + task.kv_head * groups * dim, out_stride, pointer<T>(grad_heads),
               groups * dim, task.length);
    zero_tail<T>(grad_heads, task.length * groups);
    const at::Tensor grad_q = matrix<T>(task.padded * groups, dim), grad_k = matrix<T>(task.padded, dim),
                     grad_v = matrix<T>(task.padded, dim);

    // From the last tile to the first: the last one sees all keys, so it writes grad_k and grad_v whole and the others add to them.
    for (int64_t i = task.num_tiles() - 1; i >= 0; --i) {
      const int64_t first = task.tile_first(i), rows = task.tile_count(i) * groups, keys = task.keys(i);
      const at::Tensor q_tile = q.narrow(0, first * groups, rows), grad_tile = grad_heads.narrow(0, first * groups, rows);
      const at::Tensor k_seen = k.narrow(0, 0, keys), v_seen = v.narrow(0, 0, keys);
      at::Tensor probs;
      if (task.keeps_probs()) {
        probs = saved.probs.narrow(0, task.probs_offset, rows * keys).view({rows, keys});
      } else {
        probs = at::mm(q_tile, k_seen.t());
        kernels::set<T>().causal_softmax(pointer<T>(probs), rows, keys, groups, first, window_);
      }
      at::Tensor grad_scores = at::mm(grad_tile, v_seen.t());
      kernels::set<T>().softmax_backward(const_pointer<T>(probs), pointer<T>(grad_scores), rows, keys);
      at::Tensor grad_q_tile = grad_q.narrow(0, first * groups, rows), grad_k_seen = grad_k.narrow(0, 0, keys),
                 grad_v_seen = grad_v.narrow(0, 0, keys);
      at::mm_out(grad_q_tile, grad_scores, k_seen);
      if (i + 1 == task.num_tiles()) {
        at::mm_out(grad_v_seen, probs.t(), grad_tile);
        at::mm_out(grad_k_seen, grad_scores.t(), q_tile);
      } else {
        at::addmm_out(grad_v_seen, grad_v_seen, probs.t(), grad_tile);
        at::addmm_out(grad_k_seen, grad_k_seen, grad_scores.t(), q_tile);
      }
    }
    float* norm_part = norm_gradients ? norm_parts.mutable_data_ptr<float>() + index * 2 * dim : nullptr;
    kernels::set<T>().scatter_head_gradients(const_pointer<T>(qkv) + task.first_row * heads_.row(), heads_, transform, task.kv_head,
                                             task.length, const_pointer<T>(grad_q), const_pointer<T>(grad_k), const_pointer<T>(grad_v),
                                             pointer<T>(grad_qkv) + task.first_row * heads_.row(), norm_part,
                                             norm_part == nullptr ? nullptr : norm_part + dim);
  });
  if (norm_gradients) {
    const at::Tensor total = norm_parts.sum(0);  // [2, head_dim]
    q_norm_grad.add_(total.select(0, 0));
    k_norm_grad.add_(total.select(0, 1));
  }
  return grad_qkv;
}

}  // namespace multimeditron
