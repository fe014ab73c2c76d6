#include "models/language/causal_lm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "models/layers/cpu_types.h"
#include "models/layers/rms_norm.h"

namespace multimeditron {

CausalLm::CausalLm(const DecoderConfig& config) : config_(config), rotary_(config) {
  embed_tokens_ = &embed_leaf_.add("weight", {config.vocab_size, config.hidden_size}, false);
  register_module("model.embed_tokens", embed_leaf_);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) {
    layers_.push_back(std::make_unique<DecoderLayer>(config, i));
    register_module("model.layers." + std::to_string(i), *layers_.back());
  }
  norm_ = &norm_leaf_.add("weight", {config.hidden_size}, true);
  register_module("model.norm", norm_leaf_);
  if (!config.tie_word_embeddings) {
    lm_head_ = &head_leaf_.add("weight", {config.vocab_size, config.hidden_size}, false);
    register_module("lm_head", head_leaf_);
  }
}

at::Tensor CausalLm::embed(const at::Tensor& input_ids) const {
  return embed_tokens_->data.index_select(0, input_ids);
}

void CausalLm::embed_backward(const at::Tensor& input_ids, const at::Tensor& grad_out, const std::vector<int64_t>& skip) {
  Bucket& bucket = *embed_tokens_->bucket;
  if (!bucket.is_trained()) return;
  ensure_gradient(bucket);
  // Positions by token, in order of position: each row of the table is summed by one thread, in float32, in the same order always.
  const int64_t* ids = input_ids.const_data_ptr<int64_t>();
  std::vector<std::pair<int64_t, int64_t>> order;  // (token, position)
  auto skipped = skip.begin();
  for (int64_t t = 0; t < input_ids.size(0); ++t) {
    if (skipped != skip.end() && *skipped == t) {
      ++skipped;
      continue;
    }
    if (ids[t] == config_.pad_token_id) continue;
    order.emplace_back(ids[t], t);
  }
  std::sort(order.begin(), order.end());
  std::vector<int64_t> starts;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || order[i].first != order[i - 1].first) starts.push_back(static_cast<int64_t>(i));
  }
  starts.push_back(static_cast<int64_t>(order.size()));
  const int64_t dim = config_.hidden_size;
  const auto add = [&](auto grad_type, auto table_type) {
    using G = decltype(grad_type);
    using W = decltype(table_type);
    for_rows(static_cast<int64_t>(starts.size()) - 1, 2 * dim, [&](int64_t first, int64_t last) {
      std::vector<float> sum(static_cast<size_t>(dim));
      for (int64_t token = first; token < last; ++token) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (int64_t i = starts[token]; i < starts[token + 1]; ++i) {
          kernels::set<G>().add_to_float(const_pointer<G>(grad_out) + order[i].second * dim, sum.data(), dim);
        }
        W* row = pointer<W>(embed_tokens_->grad) + order[starts[token]].first * dim;
        if constexpr (std::is_same_v<W, float>) {
          for (int64_t i = 0; i < dim; ++i) row[i] += sum[i];
        } else {
          auto* target = reinterpret_cast<c10::BFloat16*>(row);
          for (int64_t i = 0; i < dim; ++i) target[i] = static_cast<float>(target[i]) + sum[i];
        }
      }
    });
  };
  dispatch(grad_out.scalar_type(), [&](auto g) { dispatch(embed_tokens_->grad.scalar_type(), [&](auto w) { add(g, w); }); });
}

at::Tensor CausalLm::forward_layers(at::Tensor hidden, const SequenceLayout& layout, Saved* saved, bool checkpointing) {
  int64_t longest = 0;
  for (int64_t s = 0; s < layout.num_sequences(); ++s) longest = std::max(longest, layout.length(s));
  rotary_.reserve(longest);
  if (saved != nullptr) saved->layers.resize(layers_.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (saved == nullptr) {
      hidden = layers_[i]->forward(hidden, layout, rotary_, nullptr);
    } else if (checkpointing) {
      saved->layers[i].x = hidden;
      hidden = layers_[i]->forward(hidden, layout, rotary_, nullptr);
    } else {
      hidden = layers_[i]->forward(hidden, layout, rotary_, &saved->layers[i]);
    }
  }
  return hidden;
}

at::Tensor CausalLm::backward_layers(at::Tensor grad, const SequenceLayout& layout, Saved& saved) {
  for (size_t i = layers_.size(); i-- > 0;) grad = layers_[i]->backward(grad, layout, rotary_, saved.layers[i]);
  return grad;
}

at::Tensor CausalLm::logits(const at::Tensor& hidden_rows) const {
  const at::Tensor normed = rms_norm(hidden_rows, norm_->data, config_.rms_norm_eps);
  return at::mm(normed, (config_.tie_word_embeddings ? embed_tokens_ : lm_head_)->data.t());
}

CausalLm::HeadResult CausalLm::head_loss(const at::Tensor& rows, const std::vector<int64_t>& targets, double grad_scale) {
  const int64_t count = rows.size(0), vocab_size = config_.vocab_size;
  const bool with_grad = grad_scale != 0;
  Parameter& head = lm_head();
  at::Tensor rstd;
  const at::Tensor normed = rms_norm(rows, norm_->data, config_.rms_norm_eps, &rstd);
  const at::Tensor grad_normed = with_grad ? at::empty_like(normed) : at::Tensor();
  const bool train_head = with_grad && head.is_trained;
  // About 64 MB of logits at a time.
  const int64_t chunk = std::clamp<int64_t>((int64_t{64} << 20) / (vocab_size * static_cast<int64_t>(rows.element_size())), 128, 4096);

  HeadResult result;
  const at::Tensor buffer = at::empty({std::min(chunk, count), vocab_size}, normed.options());
  std::vector<double> losses(static_cast<size_t>(count));
  for (int64_t first = 0; first < count; first += chunk) {
    const int64_t size = std::min(chunk, count - first);
    const at::Tensor x = normed.narrow(0, first, size);
    at::Tensor logits = buffer.narrow(0, 0, size);
    at::mm_out(logits, x, head.data.t());
    dispatch(logits.scalar_type(), [&](auto type) {
      using T = decltype(type);
      for_rows(size, vocab_size, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          losses[first + row] = kernels::set<T>().cross_entropy(pointer<T>(logits) + row * vocab_size, vocab_size, targets[first + row],
                                                                static_cast<float>(grad_scale));
        }
      });
    });
    if (!with_grad) continue;
    at::Tensor grad_x = grad_normed.narrow(0, first, size);
    at::mm_out(grad_x, logits, head.data);
    if (train_head) {
      accumulate_weight_gradient(head.grad, logits, x, head.bucket->grad_is_stale);
      head.bucket->grad_is_stale = false;
    }
  }
  for (const double loss : losses) result.loss_sum += loss;
  if (with_grad) {
    result.grad_rows = at::zeros_like(rows);
    const at::Tensor norm_grad = rms_norm_backward(grad_normed, rows, rstd, norm_->data, result.grad_rows, norm_->is_trained);
    if (norm_->is_trained) {
      ensure_gradient(*norm_->bucket);
      norm_->grad.add_(norm_grad);
    }
  }
  return result;
}

KvCache CausalLm::make_cache(int64_t batch, int64_t capacity) const {
  KvCache cache;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto make = [&] {
      return at::empty({batch, config_.num_key_value_heads, capacity, config_.head_dim}, embed_tokens_->data.options());
    };
    cache.layers.push_back({.k = make(), .v = make()});
  }
  return cache;
}

at::Tensor CausalLm::prefill(at::Tensor hidden, const SequenceLayout& layout, KvCache& cache) {
  rotary_.reserve(cache.layers.front().k.size(2));
  for (size_t i = 0; i < layers_.size(); ++i) hidden = layers_[i]->prefill(hidden, layout, rotary_, cache.layers[i]);
  const at::Tensor last = at::empty({layout.num_sequences()}, at::kLong);
  for (int64_t s = 0; s < layout.num_sequences(); ++s) last.mutable_data_ptr<int64_t>()[s] = layout.cu_seqlens[s + 1] - 1;
  return hidden.index_select(0, last);
}

at::Tensor CausalLm::decode(at::Tensor hidden, const std::vector<int64_t>& positions, const std::vector<int64_t>& rows, KvCache& cache) {
  rotary_.reserve(cache.layers.front().k.size(2));  // the cache may have grown since the prefill
  for (size_t i = 0; i < layers_.size(); ++i) hidden = layers_[i]->decode(hidden, positions, rows, rotary_, cache.layers[i]);
  return hidden;
}

at::Tensor CausalLm::last_attention(at::Tensor hidden) {
  const int64_t length = hidden.size(0);
  rotary_.reserve(length);
  const SequenceLayout layout{{0, length}};
  KvCache cache = make_cache(1, length);
  std::vector<at::Tensor> layers;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const at::Tensor output = layers_[i]->prefill(hidden, layout, rotary_, cache.layers[i]);
    layers.push_back(layers_[i]->last_attention(hidden, rotary_, cache.layers[i]));
    hidden = output;
  }
  return at::stack(layers);
}

}  // namespace multimeditron
