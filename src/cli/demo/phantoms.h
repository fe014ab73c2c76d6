#pragma once

#include <array>
#include <cstdint>

#include "image/image.h"

namespace multimeditron::demo {

enum class Kind { kCt, kMri, kUltrasound, kXray };
inline constexpr std::array<Kind, 4> kKinds = {Kind::kCt, Kind::kMri, Kind::kUltrasound, Kind::kXray};

/// Halves of the image as it is seen, not of the patient.
enum class Finding { kNone, kLeft, kRight };

/// A drawing that has the look of a medical image, and nobody's: body outline, organs, noise of the kind.
///   CT: axial abdomen, the finding a bright lesion. MRI: axial brain, a bright lesion. Ultrasound: sector with speckle, a dark cyst.
///   X-ray: frontal chest, an opacity in a lung.
/// Position, size, shape, contrast and noise are drawn from `seed`; the same arguments give the same bytes. 64 to 80 pixels a side.
RgbImage render_phantom(Kind kind, Finding finding, uint64_t seed);

}  // namespace multimeditron::demo
