#pragma once

#include <vector>

#include "cli/demo/canvas.h"
#include "cli/demo/studies.h"

namespace multimeditron::demo {

/// Where the centres of a finding's lesions may lie: an ellipse in the right half of the picture, mirrored for the left one.
struct Zone {
  double x = 0, y = 0, radius_x = 0, radius_y = 0;
};

struct Lesion {
  double x = 0, y = 0, radius = 0;
};

/// A large radius over a small one: three small lesions cover less than a single large one.
inline constexpr double kLargeToSmall = 2;

/// As many lesions of nearly the same radius as the finding counts, none touching another (the gap is `gap` at least) nor the middle of the
/// picture. Small radii lie around `small_radius`, large ones around twice that; where they do not fit they shrink a little.
std::vector<Lesion> place_lesions(const Finding& finding, const Zone& zone, double small_radius, double gap, Random& random);

/// What the kinds of phantoms paint: the body without a finding, and lesions on top.
struct Phantom {
  void (*paint_body)(Canvas& canvas, Random& random);
  Zone (*zone)(Region region);
  void (*paint_lesion)(Canvas& canvas, const Lesion& lesion, Random& random);
};
extern const Phantom kCtPhantom, kMriPhantom, kUltrasoundPhantom, kXrayPhantom;

}  // namespace multimeditron::demo
