#include "cli/demo/phantoms.h"

#include "cli/demo/canvas.h"
#include "cli/demo/phantoms_lesions.h"
#include "cli/demo/shapes.h"

namespace multimeditron::demo {
namespace {

// Streams of a study's seed: the body, its exposure and its noise are the same with and without a finding.
constexpr uint64_t kBody = 0, kFinding = 1, kExposure = 2;

const Phantom& phantom(Kind kind) {
  switch (kind) {
    case Kind::kCt:
      return kCtPhantom;
    case Kind::kMri:
      return kMriPhantom;
    case Kind::kUltrasound:
      return kUltrasoundPhantom;
    default:
      return kXrayPhantom;
  }
}

Exposure draw_exposure(Kind kind, Random& random) {
  Exposure exposure;
  exposure.contrast = random.uniform(0.86, 1.1);
  exposure.brightness = random.uniform(-0.05, 0.05);
  exposure.blur = random.uniform(0, 0.8);
  // An ultrasound image's own noise is its speckle.
  exposure.noise = random.uniform(0.005, 0.035) * (kind == Kind::kUltrasound || kind == Kind::kDrawing ? 0.4 : 1.0);
  return exposure;
}

}  // namespace

RgbImage render(const Study& study) {
  Random body(derive_seed(study.seed, kBody, 0)), finding(derive_seed(study.seed, kFinding, 0)),
      exposed(derive_seed(study.seed, kExposure, 0));
  const int64_t shorter = 96 + 4 * body.index(12);
  const auto longer = static_cast<int64_t>(static_cast<double>(shorter) * body.uniform(1, 1.15));
  // Heads are taller than wide, bellies and sectors wider than tall.
  const bool is_tall = study.kind == Kind::kMri || ((study.kind == Kind::kXray || study.kind == Kind::kDrawing) && body.index(2) == 0);
  const int64_t width = is_tall ? shorter : longer, height = is_tall ? longer : shorter;
  const double shift_x = body.uniform(-0.03, 0.03), shift_y = body.uniform(-0.04, 0.04), scale = body.uniform(0.94, 1.04);
  const Pose pose{shift_x, shift_y, scale, body.uniform(-0.06, 0.06)};

  std::vector<Canvas> planes;
  if (study.kind == Kind::kDrawing) {
    planes = paint_shapes(width, height, pose, study.finding.value(), body, finding);
  } else {
    const Phantom& kind = phantom(study.kind);
    Canvas& canvas = planes.emplace_back(width, height, pose);
    kind.paint_body(canvas, body);
    if (study.finding) {
      for (const Lesion& lesion : place_lesions(*study.finding, kind.zone(study.finding->region), 0.08, 0.075, finding)) {
        kind.paint_lesion(canvas, lesion, finding);
      }
    }
  }
  return develop(std::move(planes), draw_exposure(study.kind, exposed), exposed);
}

}  // namespace multimeditron::demo
