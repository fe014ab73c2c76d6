#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "image/image.h"

namespace multimeditron {

/// What a scan's values (Hounsfield units, say) are shown as: black, white, or the grey between, rounded to the nearest, ties to even.
class GreyRule {
 public:
  /// Black at `centre` - `width` / 2 and below, white above `centre` + `width` / 2: DICOM's LINEAR_EXACT, and with `centre` - 0.5 and
  /// `width` - 1 its LINEAR. `width` may be 0.
  static GreyRule window(double centre, double width) { return {Curve::kWindow, centre, width, centre - width / 2, centre + width / 2}; }
  /// DICOM's SIGMOID; `width` is above 0.
  static GreyRule sigmoid(double centre, double width) { return {Curve::kSigmoid, centre, width, 0, 0}; }
  /// Black at `low` and below, white from `high` on; one value alone is black.
  static GreyRule range(double low, double high) { return {Curve::kRange, 0, 1, low, high}; }

  uint8_t operator()(double value) const {
    if (std::isnan(value)) return 0;
    if (curve_ == Curve::kSigmoid) return rounded(1 / (1 + std::exp(-4 * (value - centre_) / width_)));
    if (value <= low_) return 0;
    if (value > high_) return 255;
    return rounded(curve_ == Curve::kWindow ? (value - centre_) / width_ + 0.5 : (value - low_) / (high_ - low_));
  }

 private:
  enum class Curve { kWindow, kSigmoid, kRange };
  GreyRule(Curve curve, double centre, double width, double low, double high)
      : curve_(curve), centre_(centre), width_(width), low_(low), high_(high) {}
  /// A share of white; NaN (of a range without bounds) is black.
  static uint8_t rounded(double share) { return share > 0 ? static_cast<uint8_t>(std::min(std::nearbyint(share * 255), 255.0)) : 0; }

  Curve curve_;
  double centre_, width_, low_, high_;
};

/// The rule of `options` for these values where it does not leave it to the file. NaN and infinite ones are left out.
GreyRule grey_rule(const VolumeOptions& options, std::span<const double> values);

/// Whether `options` say how values become grey, instead of the file.
inline bool has_own_rule(const VolumeOptions& options) {
  return options.window || options.shading != Shading::kFile;
}

/// 16-bit grey of an ordinary image by that rule: [count] -> [count, 3]. Throws UserError for a window in Hounsfield units.
std::vector<uint8_t> sixteen_bit_grey_to_rgb(std::span<const uint16_t> values, const VolumeOptions& options);

}  // namespace multimeditron
