#include <fmt/format.h>

#include <cctype>
#include <string_view>

#include "cli/demo/studies.h"

namespace multimeditron::demo {
namespace {

using Texts = std::vector<std::string_view>;

/// How reports and answers speak of a kind of image; a finding's name in the singular and in the plural.
struct Words {
  const char* answer;
  Texts names;
  std::vector<std::array<std::string_view, 2>> findings;
};

const Words& words(Kind kind) {
  static const Words kCt{"CT",
                         {"Axial CT of the abdomen", "CT slice through the abdomen", "Abdominal CT", "CT of the upper abdomen"},
                         {{"bright lesion", "bright lesions"}, {"dense lesion", "dense lesions"}, {"dense nodule", "dense nodules"}}};
  static const Words kMri{"MRI",
                          {"Axial MRI of the brain", "MRI slice of the head", "Brain MRI", "MRI of the brain"},
                          {{"bright lesion", "bright lesions"}, {"lesion of high signal", "lesions of high signal"}, {"mass", "masses"}}};
  static const Words kUltrasound{"ultrasound",
                                 {"Ultrasound of soft tissue", "Ultrasound scan", "Ultrasound sector", "Ultrasound image"},
                                 {{"dark cyst", "dark cysts"}, {"round cyst", "round cysts"}, {"cyst", "cysts"}}};
  static const Words kXray{"X-ray",
                           {"Frontal chest X-ray", "X-ray of the chest", "Chest X-ray", "Frontal X-ray of the chest"},
                           {{"opacity", "opacities"}, {"hazy opacity", "hazy opacities"}, {"nodule", "nodules"}}};
  static const Words kDrawing{"drawing", {"Drawing", "A drawing", "Simple drawing", "Coloured drawing"}, {}};
  switch (kind) {
    case Kind::kCt:
      return kCt;
    case Kind::kMri:
      return kMri;
    case Kind::kUltrasound:
      return kUltrasound;
    case Kind::kXray:
      return kXray;
    case Kind::kDrawing:
      break;
  }
  return kDrawing;
}

const char* side(const Finding& finding) {
  return finding.side == Side::kLeft ? "left" : "right";
}

const char* size(const Finding& finding) {
  return finding.size == Size::kSmall ? "small" : "large";
}

const char* count(const Finding& finding) {
  constexpr std::array<const char*, 3> kCounts = {"one", "two", "three"};
  return kCounts.at(static_cast<size_t>(finding.count - 1));
}

const char* region(const Finding& finding) {
  return to_string(finding.region);
}

const char* shape(const Finding& finding) {
  constexpr std::array<const char*, 4> kShapes = {"circle", "square", "triangle", "star"};
  return kShapes.at(static_cast<size_t>(finding.shape));
}

const char* colour(const Finding& finding) {
  constexpr std::array<const char*, 4> kColours = {"red", "green", "blue", "yellow"};
  return kColours.at(static_cast<size_t>(finding.colour));
}

std::string capitalised(std::string text) {
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string drawing_caption(std::string_view name, const Finding& finding, Random& random) {
  const std::string shapes =
      fmt::format("{} {} {} {}{}", count(finding), size(finding), colour(finding), shape(finding), finding.count == 1 ? "" : "s");
  switch (random.index(4)) {
    case 0:
      return fmt::format("{}. {} on the {}.", name, capitalised(shapes), side(finding));
    case 1:
      return fmt::format("{} of {} on the {} side.", name, shapes, side(finding));
    case 2:
      return fmt::format("{}. On the {}: {}.", name, side(finding), shapes);
    default:
      return fmt::format("{} with {} on the {}.", name, shapes, side(finding));
  }
}

std::string finding_caption(std::string_view name, const Words& words, const Finding& finding, Random& random) {
  const std::string lesions =
      fmt::format("{} {} {}", count(finding), size(finding), random.choose(words.findings)[finding.count == 1 ? 0 : 1]);
  switch (random.index(5)) {
    case 0:
      return fmt::format("{}. {} in the {}, on the {}.", name, capitalised(lesions), region(finding), side(finding));
    case 1:
      return fmt::format("{}. There {} {} on the {} side, in the {}.", name, finding.count == 1 ? "is" : "are", lesions, side(finding),
                         region(finding));
    case 2:
      return fmt::format("{} with {} in the {} on the {}.", name, lesions, region(finding), side(finding));
    case 3:
      return fmt::format("{}. On the {}, the {} shows {}.", name, side(finding), region(finding), lesions);
    default:
      return fmt::format("{}. {}, {} side: {}.", name, capitalised(region(finding)), side(finding), lesions);
  }
}

/// The wordings of a question. Those on what presupposes a finding differ for drawings; none tells one or several.
const Texts& wordings(Topic topic, bool is_drawing) {
  static const Texts kKind = {"What kind of image is this?", "Which imaging technique is this?", "How was this image made?",
                              "What type of image do you see?"};
  static const Texts kFinding = {"Is there a finding?", "Does the image show anything abnormal?", "Is something abnormal visible?",
                                 "Does the image show a finding?"};
  static const Texts kSide[] = {
      {"On which side is the finding?", "Which side of the image is abnormal?", "Where is the finding, left or right?",
       "Is the finding on the left or on the right?"},
      {"On which side is something drawn?", "Which side of the image is drawn on?", "Where is something drawn, left or right?"}};
  static const Texts kSize[] = {
      {"What size is the finding?", "Is the finding small or large?", "How large is the finding?", "Is that a small or a large finding?"},
      {"What size is drawn, small or large?", "How large is what is drawn?", "Is something small or large drawn?"}};
  static const Texts kCount[] = {
      {"How many lesions are there?", "How many lesions does the image show?", "What is the number of lesions?", "Count the lesions."},
      {"How many shapes are there?", "How many shapes are drawn?", "Count the shapes."}};
  static const Texts kOrgan = {"Which organ or region is affected?", "In which organ or region is the finding?",
                               "Which part of the body contains the finding?", "What region does the finding lie in?"};
  static const Texts kColour = {"What colour is it?", "In which colour is it drawn?", "Which colour does the shape have?"};
  switch (topic) {
    case Topic::kKind:
      return kKind;
    case Topic::kFinding:
      return kFinding;
    case Topic::kSide:
      return kSide[is_drawing];
    case Topic::kSize:
      return kSize[is_drawing];
    case Topic::kCount:
      return kCount[is_drawing];
    case Topic::kOrgan:
      return kOrgan;
    case Topic::kColour:
      break;
  }
  return kColour;
}

std::string answer(Topic topic, const Study& study) {
  switch (topic) {
    case Topic::kKind:
      return words(study.kind).answer;
    case Topic::kFinding:
      return study.finding ? "yes" : "no";
    case Topic::kSide:
      return side(study.finding.value());
    case Topic::kSize:
      return size(study.finding.value());
    case Topic::kCount:
      return count(study.finding.value());
    case Topic::kOrgan:
      return region(study.finding.value());
    case Topic::kColour:
      break;
  }
  return colour(study.finding.value());
}

}  // namespace

const char* to_string(Topic topic) {
  constexpr std::array<const char*, 7> kNames = {"kind of image", "finding", "side", "size", "count", "organ", "colour"};
  return kNames.at(static_cast<size_t>(topic));
}

const char* to_string(Region region) {
  constexpr std::array<const char*, 9> kNames = {"liver",      "spleen",    "kidney",     "frontal lobe", "occipital lobe",
                                                 "near field", "far field", "upper lung", "lower lung"};
  return kNames.at(static_cast<size_t>(region));
}

std::string caption(const Study& study, Random& random) {
  static const Texts kNothing = {"No finding.", "Nothing abnormal is seen.", "Normal image.", "There is no lesion."};
  const Words& kind = words(study.kind);
  const std::string_view name = random.choose(kind.names);
  if (!study.finding) return fmt::format("{}. {}", name, random.choose(kNothing));
  if (study.kind == Kind::kDrawing) return drawing_caption(name, *study.finding, random);
  return finding_caption(name, kind, *study.finding, random);
}

Question ask(Topic topic, const Study& study, Random& random) {
  return {topic, std::string(random.choose(wordings(topic, study.kind == Kind::kDrawing))), answer(topic, study)};
}

}  // namespace multimeditron::demo
