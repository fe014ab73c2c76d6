#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/demo/random.h"

namespace multimeditron::demo {

enum class Kind { kCt, kMri, kUltrasound, kXray, kDrawing };
inline constexpr std::array<Kind, 5> kKinds = {Kind::kCt, Kind::kMri, Kind::kUltrasound, Kind::kXray, Kind::kDrawing};

/// Halves of the image as it is seen, not of the patient.
enum class Side { kLeft, kRight };
enum class Size { kSmall, kLarge };
enum class Region { kLiver, kSpleen, kKidney, kFrontalLobe, kOccipitalLobe, kNearField, kFarField, kUpperLung, kLowerLung };
enum class Shape { kCircle, kSquare, kTriangle, kStar };
enum class Colour { kRed, kGreen, kBlue, kYellow };

/// What there is to find: one to three lesions of one size, side by side in one region, on one side; or shapes, alike, in a drawing.
struct Finding {
  Side side = Side::kLeft;
  Size size = Size::kSmall;
  int64_t count = 1;
  Region region = Region::kLiver;  ///< of a medical image
  Shape shape = Shape::kCircle;    ///< of a drawing, as is the colour
  Colour colour = Colour::kRed;
};

/// The parts of the data set. Each draws from seeds of its own, so no image of one occurs in another.
enum class Split { kText, kPairs, kAlignment, kInstructions, kTest };

/// One image and what is true of it.
struct Study {
  Kind kind;
  std::optional<Finding> finding;  ///< a drawing always has one
  uint64_t seed;                   ///< of the image and of the words about it
};

/// Studies that are balanced together, whatever multiple of it a split begins with.
inline constexpr int64_t kStudiesPerBlock = 60;

/// Study `index` of a split. In each block every kind comes twelve times, six times with a finding (drawings: always), and among these
/// every fact has each of its values equally often; facts are independent of each other, but for one: the liver lies on the left, the
/// spleen on the right. Kidneys make up for it, one on each side.
Study make_study(uint64_t seed, Split split, int64_t index);

enum class Topic { kKind, kFinding, kSide, kSize, kCount, kOrgan, kColour };
inline constexpr std::array<Topic, 7> kTopics = {Topic::kKind,  Topic::kFinding, Topic::kSide,  Topic::kSize,
                                                 Topic::kCount, Topic::kOrgan,   Topic::kColour};
const char* to_string(Topic topic);  // "kind of image", "finding", "side" ...

const char* to_string(Region region);  // "liver", "upper lung" ...
/// Where a kind of image can have a finding; nowhere in a drawing.
std::vector<Region> regions_of(Kind kind);

/// A question about an image, and its only right answer.
struct Question {
  Topic topic;
  std::string question, answer;
};

/// One or two sentences that tell everything, in words that vary: "Axial CT of the abdomen. Two small bright lesions in the liver, on the
/// left."
std::string caption(const Study& study, Random& random);

/// "What kind of image is this?" - "CT". How a question is worded depends on the topic and on whether the image is a drawing, on nothing
/// else.
Question ask(Topic topic, const Study& study, Random& random);

/// What can be asked: of a medical image without finding its kind and whether there is one, of a drawing all but finding and organ. Which
/// shape is drawn is told in captions, but not asked: a tower of the demo's size does not learn it in a few minutes.
std::vector<Topic> topics_of(const Study& study);

/// The topics of one conversation in their order. A question is never asked after one that betrays its answer, and whether kind and finding
/// are asked does not depend on the answer.
std::vector<Topic> conversation_topics(const Study& study, Random& random);

}  // namespace multimeditron::demo
