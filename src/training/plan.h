#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/multimodal/model.h"
#include "recipe/recipe.h"

namespace multimeditron {

struct ModelSize {
  int64_t parameters = 0, trainable = 0;
};
ModelSize measure(MultimodalModel& model);

/// Rows of the start header: model, trained share, precision.
std::vector<std::pair<std::string, std::string>> describe(const Recipe& recipe, const MultimodalModel& model, const ModelSize& size);

/// Rows of `--dry-run` of a mixture: each expert with the gate's class that it answers to. Empty where there is none.
std::vector<std::pair<std::string, std::string>> expert_table(const MultimodalModel& model);

/// Rows of `--dry-run`: each component with its parameters, what is trained of it, dtype and learning rate. The model may have shapes only.
std::vector<std::pair<std::string, std::string>> component_table(const Recipe& recipe, MultimodalModel& model);

}  // namespace multimeditron
