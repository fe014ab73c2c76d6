#pragma once

#include <optional>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "recipe/table.h"

namespace multimeditron {

template <>
inline constexpr bool kHasTable<LoaderSpec> = true;
template <>
inline constexpr bool kHasTable<ModalitySpec> = true;
template <>
inline constexpr bool kHasTable<DatasetSpec> = true;
template <>
inline constexpr bool kHasTable<CustomLr> = true;
template <>
inline constexpr bool kHasTable<TrainingArguments> = true;

template <>
const Table<LoaderSpec>& table();
template <>
const Table<ModalitySpec>& table();
template <>
const Table<DatasetSpec>& table();
template <>
const Table<CustomLr>& table();
template <>
const Table<TrainingArguments>& table();
template <>
const Table<Recipe>& table();

template <>
const std::vector<std::pair<TrainingMode, std::string>>& enum_names();
template <>
const std::vector<std::pair<TokenizerType, std::string>>& enum_names();
template <>
const std::vector<std::pair<LabelMask, std::string>>& enum_names();

/// Keys of a modality that only mixtures of experts use.
bool is_mixture_key(const std::string& key);

/// The keys of `lr_scheduler_kwargs`; they live in TrainingArguments itself.
const Table<TrainingArguments>& scheduler_table();

/// The keys of `lr_scheduler_kwargs` that this schedule takes.
std::vector<std::string> scheduler_keys(const std::string& lr_scheduler_type);

/// Advice for a known key that stands in the wrong map: "move it under `training_args`". `parent`: the path where it stands.
std::optional<std::string> place_of_key(const std::string& key, const std::string& parent);

}  // namespace multimeditron
