#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/demo/phantoms.h"
#include "cli/demo/random.h"

namespace multimeditron::demo {

/// The parts of the data set. Each draws from seeds of its own, so no image of one occurs in another.
enum class Split { kText, kAlignment, kInstructions, kTest };

/// One image and what is true of it.
struct Study {
  Kind kind;
  Finding finding;
  uint64_t seed;  ///< of the image and of the words about it
};

/// Study `index` of a split. Sixteen in a row have each kind four times, half of them with a finding, left and right equally often.
Study make_study(uint64_t seed, Split split, int64_t index);

enum class Topic { kKind, kFinding, kSide };
inline constexpr std::array<Topic, 3> kTopics = {Topic::kKind, Topic::kFinding, Topic::kSide};
const char* to_string(Topic topic);  // "kind of image"

/// A question about an image, and its only right answer.
struct Question {
  Topic topic;
  std::string question, answer;
};

/// One or two sentences, in words that vary: "Axial CT of the abdomen. A bright lesion lies on the left."
std::string caption(const Study& study, Random& random);

/// "What kind of image is this?" - "CT". The side is asked of studies with a finding only.
Question ask(Topic topic, const Study& study, Random& random);
std::vector<Topic> topics_of(const Study& study);

}  // namespace multimeditron::demo
