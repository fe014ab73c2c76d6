#pragma once

#include "cli/demo/studies.h"
#include "image/image.h"

namespace multimeditron::demo {

/// A drawing of a study: what has the look of a medical image, and is nobody's, or coloured shapes on a ground.
///   CT: axial abdomen, bright lesions in an organ. MRI: axial brain, bright lesions. Ultrasound: sector with speckle, dark cysts.
///   X-ray: frontal chest, opacities in a lung.
/// Everything but the facts (position, outline, contrast, brightness, noise, blur, number of pixels) follows from the study's seed: the
/// same study gives the same bytes, and the same seed without the finding the same body. 96 to 160 pixels a side, the longer edge at
/// most 1.15 times the shorter; a centred square crop loses nothing that matters.
RgbImage render(const Study& study);

}  // namespace multimeditron::demo
