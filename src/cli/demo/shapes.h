#pragma once

#include <vector>

#include "cli/demo/canvas.h"
#include "cli/demo/studies.h"

namespace multimeditron::demo {

/// Coloured shapes on a coloured ground, in a picture of width x height: its red, green and blue canvas. The ground follows from `body`,
/// the rest from `finding_random`.
std::vector<Canvas> paint_shapes(int64_t width, int64_t height, const Pose& pose, const Finding& finding, Random& body,
                                 Random& finding_random);

}  // namespace multimeditron::demo
