#pragma once

#include <memory>
#include <vector>

#include "data/dataset.h"

namespace multimeditron {

/// The first `size` rows of a data set.
std::unique_ptr<Dataset> first_rows(std::unique_ptr<Dataset> dataset, int64_t size);

/// Row i is row `rows[i]` of `dataset`, each being in its range.
std::unique_ptr<Dataset> selected_rows(std::unique_ptr<Dataset> dataset, std::vector<int64_t> rows);

/// Data sets one after the other. `weights`: how often an epoch takes the rows of each, see open_datasets().
std::unique_ptr<Dataset> concatenation(std::vector<std::unique_ptr<Dataset>> parts, std::vector<double> weights, uint64_t seed);

/// The same rows; the first one with a role that looks like a misspelt one is told.
std::unique_ptr<Dataset> with_role_warning(std::unique_ptr<Dataset> dataset);

/// Place `index` of a drawn order of [0, size): a permutation for each key, computed without holding it.
int64_t permuted(int64_t index, int64_t size, uint64_t key);

}  // namespace multimeditron
