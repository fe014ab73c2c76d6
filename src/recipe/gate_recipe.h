#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.h"

namespace multimeditron {

/// What `train-gate` trains: the classifier of a mixture, under the original's keys. Data sets are labelled by the class that lists them.
struct GateRecipe {
  std::filesystem::path file;  ///< where it was read from
  int64_t num_classes = 0;     ///< completed from the names where 0
  int64_t top_k = 1;
  std::string image_processor_path;                              ///< hub id or folder: what the mixture will feed
  std::string normalisation = "image_processor";                 ///< image_processor (its mean and std), imagenet (the original's)
  std::vector<std::string> class_names;                          ///< the experts' names or paths, one a class: what mixtures match by
  std::vector<std::string> class_labels;                         ///< words for the reports; empty: the names
  std::vector<std::vector<std::string>> dataset_class_map;       ///< each class's data sets
  std::vector<std::vector<std::string>> test_dataset_class_map;  ///< of the test draw; empty: `test_split`
  std::optional<int64_t> max_samples_per_class;
  double val_split = 0.1, test_split = 0.1;  ///< shares of each class
  int64_t seed = 42;
  double max_bad_samples = 0.01;
  std::vector<LoaderSpec> loaders;

  std::string pretrained_backbone;      ///< hub id or folder of weights; empty: from scratch
  std::optional<bool> freeze_backbone;  ///< completed: where there are weights
  std::optional<int64_t> unfreeze_after_epoch;
  std::vector<int64_t> widths{64, 128, 256, 512}, blocks{3, 4, 6, 3};  ///< from scratch: of the four stages; ResNet-50

  int64_t num_epochs = 20;
  int64_t early_stopping_patience = 0;  ///< epochs without a better validation; 0: never
  double lr = 1e-4, weight_decay = 1e-4;
  double label_smoothing = 0;
  int64_t batch_size = 32, gradient_accumulation_steps = 1;
  std::string scheduler = "cosine";  ///< cosine, constant
  int64_t warmup_epochs = 0;
  bool augment = true;
  int64_t num_workers = 0;
  int64_t save_every_n_epochs = 5;
  std::string output_dir;
  std::string resume_from;
  bool use_wandb = false;

  std::string effective_yaml, fingerprint;   ///< as Recipe's
  std::vector<std::string> notes, warnings;  ///< as Recipe's

  bool is_frozen_at_first() const { return freeze_backbone.value_or(false); }
  /// What the classes are called in reports: `class_labels`, else `class_names`, else "class 0" and so on.
  std::vector<std::string> labels() const;
};

/// As load_recipe, with the keys of `train-gate`.
GateRecipe load_gate_recipe(const std::filesystem::path& file, std::span<const std::string> overrides);

/// Is this a recipe of `train-gate`? It has a `dataset_class_map`. False for what cannot be read.
bool is_gate_recipe(const std::filesystem::path& file);

}  // namespace multimeditron
