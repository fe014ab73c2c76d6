#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace multimeditron::demo {

/// One training run of the demo: an ordinary recipe and the command that trains it.
struct Stage {
  std::string name;                   ///< "warmup"
  std::string title;                  ///< "warm-up: the language model learns ..."
  std::string command;                ///< "train", "train-expert"
  std::filesystem::path recipe, run;  ///< its file and its output folder
  std::string yaml;                   ///< the recipe's text
};

/// A path as YAML takes it, whatever characters it has.
std::string quoted(const std::filesystem::path& path);

/// The language model that stages begin with.
struct LanguageModel {
  std::filesystem::path folder;
  int64_t hidden_size = 0;
  std::string tokenizer_type;  ///< the recipes' key
};

/// A mixture of the cookbook, `recipes/sft/moe/FUSION/PROJECTORS`.
struct Mixture {
  std::string fusion_method;  ///< cross_attn, weighted_average, sequence_append
  bool is_pep = false;        ///< a projector for each expert
};
/// `name`: "moe/attn/pep".
Mixture parse_mixture(const std::string& name);

/// The runs of a demo with a mixture in `folder`, in order:
///   vision               as below: the generalist, and where the specialists start
///   expert-KIND          train-expert: a specialist for each of CT, MRI, ultrasound and X-ray
///   gate                 train-gate
///   warmup               as below
///   alignment, end2end   the two stages with the mixture
///   alignment-single, end2end-single   the same with the generalist alone, to compare with
std::vector<Stage> make_mixture_stages(const std::filesystem::path& folder, const Mixture& mixture, uint64_t seed, bool quick);

/// The runs of a demo in `folder`, in order:
///   vision     train-expert: a CLIP, from scratch, on images and captions
///   warmup     LM_ONLY: the language model reads reports and answers questions on them, without images
///   alignment  ALIGNMENT: the projector between the two learns to caption
///   end2end    END2END: language model and projector learn to answer questions on images
/// `quick`: a twentieth of the steps.
std::vector<Stage> make_stages(const std::filesystem::path& folder, uint64_t seed, bool quick);

/// The runs of a demo that teaches a trained language model of the user's:
///   vision, warmup                     as above
///   alignment-small, end2end-small     the two stages with the demo's own language model, to compare with
///   alignment, end2end                 the two stages with `llm`, which needs fewer steps
std::vector<Stage> make_llm_stages(const std::filesystem::path& folder, const LanguageModel& llm, uint64_t seed, bool quick);

}  // namespace multimeditron::demo
