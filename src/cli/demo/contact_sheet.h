#pragma once

#include <cstdint>

#include "image/image.h"

namespace multimeditron::demo {

/// A look at the test draw: CT, MRI, ultrasound, X-ray and drawings, a row each, those without a finding first. 1,182 x 658 pixels.
RgbImage contact_sheet(uint64_t seed);

}  // namespace multimeditron::demo
