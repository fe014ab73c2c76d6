#include "cli/demo/studies.h"

#include <fmt/format.h>

#include <span>

namespace multimeditron::demo {
namespace {

/// How reports and answers speak of a kind of image.
struct Words {
  const char* answer;
  std::array<const char*, 3> names;
  std::array<const char*, 2> findings;
};

const Words& words(Kind kind) {
  static const Words kCt{
      "CT", {"Axial CT of the abdomen", "CT slice through the abdomen", "Abdominal CT"}, {"a bright lesion", "a dense lesion"}};
  static const Words kMri{
      "MRI", {"Axial MRI of the brain", "MRI slice of the head", "Brain MRI"}, {"a bright lesion", "a lesion of high signal"}};
  static const Words kUltrasound{
      "ultrasound", {"Ultrasound of soft tissue", "Ultrasound scan", "Ultrasound sector"}, {"a dark cyst", "a round cyst"}};
  static const Words kXray{"X-ray", {"Frontal chest X-ray", "X-ray of the chest", "Chest X-ray"}, {"an opacity", "a hazy opacity"}};
  switch (kind) {
    case Kind::kCt:
      return kCt;
    case Kind::kMri:
      return kMri;
    case Kind::kUltrasound:
      return kUltrasound;
    case Kind::kXray:
      break;
  }
  return kXray;
}

std::string choose(std::span<const char* const> choices, Random& random) {
  return choices[random.index(static_cast<int64_t>(choices.size()))];
}

const char* side(Finding finding) {
  return finding == Finding::kLeft ? "left" : "right";
}

std::string capitalised(std::string text) {
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace

Study make_study(uint64_t seed, Split split, int64_t index) {
  constexpr std::array<Finding, 4> kFindings = {Finding::kLeft, Finding::kNone, Finding::kRight, Finding::kNone};
  return {kKinds[index % 4], kFindings[(index + index / 4) % 4],
          derive_seed(seed, static_cast<uint64_t>(split), static_cast<uint64_t>(index))};
}

const char* to_string(Topic topic) {
  switch (topic) {
    case Topic::kKind:
      return "kind of image";
    case Topic::kFinding:
      return "finding present";
    case Topic::kSide:
      break;
  }
  return "side of finding";
}

std::string caption(const Study& study, Random& random) {
  static constexpr std::array<const char*, 3> kNothing = {"No finding.", "Nothing abnormal is seen.", "Normal image."};
  const std::string name = choose(words(study.kind).names, random);
  if (study.finding == Finding::kNone) return fmt::format("{}. {}", name, choose(kNothing, random));
  const std::string finding = choose(words(study.kind).findings, random);
  switch (random.index(3)) {
    case 0:
      return fmt::format("{}. {} lies on the {}.", name, capitalised(finding), side(study.finding));
    case 1:
      return fmt::format("{}. There is {} on the {} side.", name, finding, side(study.finding));
    default:
      return fmt::format("{} with {} on the {}.", name, finding, side(study.finding));
  }
}

std::vector<Topic> topics_of(const Study& study) {
  if (study.finding == Finding::kNone) return {Topic::kKind, Topic::kFinding};
  return {Topic::kKind, Topic::kFinding, Topic::kSide};
}

Question ask(Topic topic, const Study& study, Random& random) {
  static constexpr std::array<const char*, 3> kKindQuestions = {"What kind of image is this?", "Which imaging technique is this?",
                                                                "How was this image made?"};
  static constexpr std::array<const char*, 3> kFindingQuestions = {"Is there a finding?", "Does the image show anything abnormal?",
                                                                   "Is something abnormal visible?"};
  static constexpr std::array<const char*, 3> kSideQuestions = {"On which side is the finding?", "Which side of the image is abnormal?",
                                                                "Where is the finding, left or right?"};
  switch (topic) {
    case Topic::kKind:
      return {topic, choose(kKindQuestions, random), words(study.kind).answer};
    case Topic::kFinding:
      return {topic, choose(kFindingQuestions, random), study.finding == Finding::kNone ? "no" : "yes"};
    case Topic::kSide:
      break;
  }
  return {topic, choose(kSideQuestions, random), side(study.finding)};
}

}  // namespace multimeditron::demo
