#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "evaluation/task.h"

namespace multimeditron {

/// For each row, the row whose images it is asked with instead of its own; nothing for a row without an image, or where no row has another
/// one. Rows of a kind trade places among themselves (each row's images are used once) so that as few as possible keep their reference:
/// then a model that looks at the image is wrong. The images of the two never have one in common; where the kind leaves no such choice, a
/// row of another kind is taken. Depends on the rows and `seed` alone. `content` of the images must be set.
std::vector<std::optional<size_t>> swap_partners(std::span<const TaskRow> rows, uint64_t seed);

}  // namespace multimeditron
