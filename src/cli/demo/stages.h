#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace multimeditron::demo {

/// One training run of the demo: an ordinary recipe.
struct Stage {
  std::string title;  ///< "warm-up", what it is for
  std::filesystem::path recipe;
  std::string yaml;  ///< the recipe's text
};

/// The runs of a demo in `folder`, in order, each starting from the one before:
///   warmup     LM_ONLY: the language model reads reports and answers questions on them, without images
///   alignment  ALIGNMENT: the projector learns to caption
///   end2end    END2END: language model and projector learn to answer questions on images
std::vector<Stage> make_stages(const std::filesystem::path& folder, uint64_t seed);

/// What the questions are put to.
std::filesystem::path final_checkpoint(const std::filesystem::path& folder);

}  // namespace multimeditron::demo
