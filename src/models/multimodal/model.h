#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/batch.h"
#include "models/language/causal_lm.h"
#include "models/multimodal/modality.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// All that a checkpoint's config.json says, and what is needed to build the module tree.
struct ModelConfig {
  DecoderConfig llm;
  std::vector<ModalityConfig> modalities;  ///< empty: a plain language model
  std::string attachment_token;
  int64_t attachment_token_id = -1;
  std::optional<TokenizerType> tokenizer_type;
  std::string llm_path;    ///< where the LLM came from; informative
  Json generation_config;  ///< of the LLM; null where it has none
  bool truncation = false;
  std::optional<int64_t> max_sequence_length;
};

/// The component that a parameter or a bucket belongs to: "llm", "projector" (with it a mixture's projectors and cross attention),
/// "vision", "gate", or "unused" (what is never computed with: a CLIP's post_layernorm and text tower).
std::string component_of(const std::string& name);

/// True where `mode` trains the component. ALIGNMENT: projectors; END2END: LLM and projectors; LM_ONLY: LLM; FULL: all but "unused".
bool trains(TrainingMode mode, const std::string& component);

/// A language model that sees: an LLM, and for each modality an encoder with its projector or a mixture of them, whose embeddings replace
/// the attachment placeholders.
class MultimodalModel : public Module {
 public:
  explicit MultimodalModel(ModelConfig config);

  const ModelConfig& config() const { return config_; }
  CausalLm& llm() { return llm_; }
  std::vector<std::unique_ptr<Modality>>& modalities() { return modalities_; }
  std::vector<std::unique_ptr<Bucket>>& buckets() { return buckets_; }
  int64_t embeddings_per_image() const { return modalities_.empty() ? 0 : config_.modalities.front().embeddings_per_image(); }
  /// Side of the images that the encoder takes; 0 without one.
  int64_t image_size() const { return modalities_.empty() ? 0 : config_.modalities.front().image_size(); }
  /// Every parameter under its full checkpoint name, in the tree's order.
  std::vector<Parameter*> parameters();

  /// Gathers the parameters into buckets and allocates these. To be called once, after the last passenger has been added. Buckets for which
  /// `in_float` is true are float32 for now: they become the optimizer's masters, which converts them to `dtype`.
  void allocate(at::ScalarType dtype, const std::function<bool(const Bucket&)>& in_float = {});
  at::ScalarType dtype() const { return dtype_; }

  /// Marks what `mode` trains and gives it gradients of `grad_dtype`.
  void set_training_mode(TrainingMode mode, at::ScalarType grad_dtype);
  /// Is the parameter or bucket `name` trained? As its component is; but no gradient reaches a gate that only chooses tokens to append, so
  /// it stays as it is.
  bool trains_parameter(TrainingMode mode, const std::string& name) const;

  /// Token embeddings with the images' in their places: [T, hidden_size]. `saved` as in Modality::forward.
  at::Tensor embed(const MicroBatch& batch, Modality::Saved* saved);

  struct Loss {
    double sum = 0;  ///< of the cross entropies of the labelled tokens
    int64_t num_labels = 0;
  };
  /// Loss of a micro-batch, no gradients.
  Loss evaluate(const MicroBatch& batch);
  /// Forward and backward: adds the gradient of `scale` * (sum of cross entropies) to the trained buckets.
  Loss forward_backward(const MicroBatch& batch, double scale, bool gradient_checkpointing);

 private:
  ModelConfig config_;
  CausalLm llm_;
  std::vector<std::unique_ptr<Modality>> modalities_;
  std::vector<std::unique_ptr<Bucket>> buckets_;
  at::ScalarType dtype_ = at::kFloat;
};

}  // namespace multimeditron
