#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "models/language/decoder_layer.h"

namespace multimeditron {

/// Keys and values of all layers for a batch of sequences.
struct KvCache {
  std::vector<LayerCache> layers;
};

/// A decoder with its language-model head, under Hugging Face's names: model.embed_tokens, model.layers.N, model.norm, lm_head (absent
/// where tied).
class CausalLm : public Module {
 public:
  explicit CausalLm(const DecoderConfig& config);

  const DecoderConfig& config() const { return config_; }
  Parameter& embed_tokens() { return *embed_tokens_; }
  /// The head's weight [vocab_size, hidden_size]: embed_tokens where tied.
  Parameter& lm_head() { return config_.tie_word_embeddings ? *embed_tokens_ : *lm_head_; }

  /// Rows of the embedding. `input_ids`: [T]. Returns [T, hidden_size].
  at::Tensor embed(const at::Tensor& input_ids) const;
  /// Adds the gradient of embed() to the bucket. Positions in `skip` (image placeholders, sorted) take none, nor does `pad_token_id`.
  void embed_backward(const at::Tensor& input_ids, const at::Tensor& grad_out, const std::vector<int64_t>& skip);

  /// What backward() needs of one micro-batch.
  struct Saved {
    std::vector<DecoderLayer::Saved> layers;
  };
  /// `hidden`: [T, hidden_size] -> the last layer's output, before the final norm. `saved` may be null; `checkpointing` keeps the layers'
  /// inputs only.
  at::Tensor forward_layers(at::Tensor hidden, const SequenceLayout& layout, Saved* saved, bool checkpointing);
  /// Returns the gradient of forward_layers' input. `grad` is overwritten.
  at::Tensor backward_layers(at::Tensor grad, const SequenceLayout& layout, Saved& saved);

  /// Logits [rows, vocab_size] of the given rows of forward_layers' output.
  at::Tensor logits(const at::Tensor& hidden_rows) const;

  struct HeadResult {
    double loss_sum = 0;   ///< sum of the rows' cross entropies
    at::Tensor grad_rows;  ///< [rows, hidden_size]: gradient of the given rows; undefined where no gradient was wanted
  };
  /// Final norm, head and cross entropy of labelled rows only, in chunks, with the gradient made on the way (as Liger and
  /// arXiv:2411.09009): no [T, vocab] matrix ever exists. `rows`: [n, hidden_size], `targets`: n ids. The gradient is that of `grad_scale`
  /// * loss_sum (0: none wanted); weight gradients go to the buckets where trained.
  HeadResult head_loss(const at::Tensor& rows, const std::vector<int64_t>& targets, double grad_scale);

  KvCache make_cache(int64_t batch, int64_t capacity) const;
  /// Runs whole prompts and fills rows [0, num_sequences) of the cache. Returns the output of the last position of each: [num_sequences,
  /// hidden_size].
  at::Tensor prefill(at::Tensor hidden, const SequenceLayout& layout, KvCache& cache);
  /// One new token a sequence: see DecoderLayer::decode. `hidden`: [batch, hidden_size]. Returns the same shape.
  at::Tensor decode(at::Tensor hidden, const std::vector<int64_t>& positions, const std::vector<int64_t>& rows, KvCache& cache);
  /// How strongly the last position of one prompt, which predicts the first new token, attends to each of its positions: probabilities,
  /// float32 [num_hidden_layers, num_attention_heads, T]. `hidden`: [T, hidden_size].
  at::Tensor last_attention(at::Tensor hidden);

 private:
  DecoderConfig config_;
  RotaryTable rotary_;
  Parameter* embed_tokens_;
  std::vector<std::unique_ptr<DecoderLayer>> layers_;
  Parameter* norm_;
  Parameter* lm_head_ = nullptr;

  /// A node of the tree that only holds parameters and gives them a bucket of their own.
  class Leaf : public Module {
   public:
    Parameter& add(const char* name, std::vector<int64_t> shape, bool is_norm) {
      own_bucket();
      return register_parameter(name, std::move(shape), is_norm);
    }
  };
  Leaf embed_leaf_, norm_leaf_, head_leaf_;
};

}  // namespace multimeditron
