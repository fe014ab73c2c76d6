#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/demo/stages.h"

namespace multimeditron::demo {

/// How many images of each kind the gate sees.
struct GateSizes {
  int64_t training = 480, test = 60;
};

/// Writes `folder`/data/kinds/KIND and `folder`/data/kinds-test/KIND, the phantoms by kind, and `folder`/data/regions/KIND/REGION.
void write_gate_data(const std::filesystem::path& folder, uint64_t seed, const GateSizes& sizes = {});

/// The run that trains a narrow gate on them, from scratch, in about a minute on two cores. `class_names`: an expert's folder for each
/// kind, in the order of kKinds; `image_processor`: what the mixture feeds. The mixture's `gating_path` is the run's folder `best`.
Stage make_gate_stage(const std::filesystem::path& folder, const std::vector<std::string>& class_names,
                      const std::filesystem::path& image_processor, uint64_t seed, bool quick);

}  // namespace multimeditron::demo
