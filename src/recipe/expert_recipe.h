#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.h"

namespace multimeditron {

/// What `train-expert` trains: a whole CLIP on pairs of images and captions. The contrastive batch is `per_device_train_batch_size` *
/// `gradient_accumulation_steps` pairs; the first of the two alone decides on the memory (gradient caching, arXiv:2101.06983).
struct ExpertRecipe {
  std::filesystem::path file;                                     ///< where it was read from
  std::string clip_name;                                          ///< hub id or folder of a CLIPModel with its tokenizer and processor
  bool from_scratch = false;                                      ///< take its config.json, draw the weights
  std::string attachment_token = "<|reserved_special_token_0|>";  ///< left out of captions
  int64_t max_text_length = 0;                                    ///< tokens of a caption; 0: as many as the text tower has positions
  double held_out = 0.05;                                         ///< share of the pairs that retrieval is measured on, at most 1,000
  int64_t seed = 0;
  double max_bad_samples = 0.01;
  std::vector<std::string> zero_shot_classes;                      ///< names of classes to tell apart at the end by their names alone
  std::vector<std::vector<std::string>> zero_shot_class_map;       ///< each one's data sets: rows with an image
  std::vector<std::string> zero_shot_templates{"a photo of {}."};  ///< what the text tower reads of a class; several are averaged
  std::vector<LoaderSpec> loaders;
  std::vector<DatasetSpec> datasets;
  TrainingArguments training_args;

  std::string effective_yaml, fingerprint;   ///< as Recipe's
  std::vector<std::string> notes, warnings;  ///< as Recipe's
};

/// As load_recipe, with the keys of `train-expert`.
ExpertRecipe load_expert_recipe(const std::filesystem::path& file, std::span<const std::string> overrides);

/// Is this a recipe of `train-expert`? It names its model in `clip_name` at the top level, where others have
/// `base_llm` or `modalities`. False for what cannot be read.
bool is_expert_recipe(const std::filesystem::path& file);

}  // namespace multimeditron
