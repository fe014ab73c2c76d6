#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace multimeditron {

/// What may be wrong with a row. The bad ones are those that training leaves out; with the others it trains, and should perhaps not.
enum class Finding {
  // Bad
  kUnreadableRow,
  kNoContent,
  kTwoContents,
  kNotUtf8,
  kUnknownRoles,
  kNoAnswer,
  kRefusedText,
  kTooLong,
  kTooLongForPack,
  kPlaceholders,
  kNoLoader,
  kMissingImage,
  kUndecodableImage,
  kNoImage,
  kNumImages,
  kNoCaption,
  // Doubtful
  kOddRole,
  kEmptyTurn,
  kNothingLearnt,
  kTruncated,
  kTinyImage,
  kLongImage,
  kFlatImage,
};
inline constexpr size_t kNumFindings = static_cast<size_t>(Finding::kFlatImage) + 1;

struct FindingInfo {
  const char* id;     ///< in JSON
  const char* title;  ///< "rows with ..." for people
  bool is_bad;
  const char* fix;
};
const FindingInfo& info(Finding finding);

/// Message and first line of what was found, of an error that holds no text of a row.
std::string reason_of(const UserError& error);

/// How often a finding occurs, and where first.
struct FindingTally {
  static constexpr size_t kShown = 20;
  struct Place {
    int64_t row = 0;
    std::string detail;  ///< never text of the row
  };
  int64_t rows = 0;
  std::vector<Place> first;  ///< by row

  void add(int64_t row, std::string detail);
  void add(const FindingTally& other);
};
using FindingTallies = std::array<FindingTally, kNumFindings>;

/// An image whose shorter side is below this shows little.
inline constexpr int64_t kTinySide = 32;
/// A square crop from the middle of an image that is longer than this shows less than a quarter of it.
inline constexpr double kLongRatio = 4;

}  // namespace multimeditron
