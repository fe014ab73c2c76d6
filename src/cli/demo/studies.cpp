#include "cli/demo/studies.h"

#include <utility>

namespace multimeditron::demo {
namespace {

constexpr uint64_t kDesign = 16;  // streams of the seed below it are the splits' studies
constexpr int64_t kPerBlock = kStudiesPerBlock / static_cast<int64_t>(kKinds.size());

/// `count` values in random order, each of `levels` equally often.
template <class Level, size_t n>
std::vector<Level> balanced(const std::array<Level, n>& levels, int64_t count, Random& random) {
  std::vector<Level> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = levels[static_cast<size_t>(i) % n];
  random.shuffle(values);
  return values;
}

using Place = std::pair<Region, Side>;

constexpr std::array kCtRegions{Region::kLiver, Region::kSpleen, Region::kKidney};
constexpr std::array kMriRegions{Region::kFrontalLobe, Region::kOccipitalLobe};
constexpr std::array kUltrasoundRegions{Region::kNearField, Region::kFarField};
constexpr std::array kXrayRegions{Region::kUpperLung, Region::kLowerLung};

/// Where the findings of `count` images lie.
std::vector<Place> places(Kind kind, int64_t count, Random& random) {
  if (kind == Kind::kCt) {
    constexpr std::array<Place, 6> kPlaces = {Place{Region::kLiver, Side::kLeft},   Place{Region::kLiver, Side::kLeft},
                                              Place{Region::kSpleen, Side::kRight}, Place{Region::kSpleen, Side::kRight},
                                              Place{Region::kKidney, Side::kLeft},  Place{Region::kKidney, Side::kRight}};
    return balanced(kPlaces, count, random);
  }
  const std::array<Region, 2> regions = kind == Kind::kMri ? kMriRegions : kind == Kind::kUltrasound ? kUltrasoundRegions : kXrayRegions;
  const std::vector<Region> region = balanced(regions, count, random);
  const std::vector<Side> side = balanced(std::array{Side::kLeft, Side::kRight}, count, random);
  std::vector<Place> places;
  for (int64_t i = 0; i < count; ++i) places.emplace_back(region[i], side[i]);
  return places;
}

/// The findings of a block's images of one kind.
std::vector<std::optional<Finding>> design(Kind kind, Random& random) {
  const bool is_drawing = kind == Kind::kDrawing;
  const int64_t count = is_drawing ? kPerBlock : kPerBlock / 2;
  const std::vector<Size> sizes = balanced(std::array{Size::kSmall, Size::kLarge}, count, random);
  const std::vector<int64_t> counts = balanced(std::array<int64_t, 3>{1, 2, 3}, count, random);
  const std::vector<Shape> shapes = balanced(std::array{Shape::kCircle, Shape::kSquare, Shape::kTriangle, Shape::kStar}, kPerBlock, random);
  const std::vector<Colour> colours = balanced(std::array{Colour::kRed, Colour::kGreen, Colour::kBlue, Colour::kYellow}, kPerBlock, random);
  const std::vector<Place> where = places(kind, count, random);
  std::vector<std::optional<Finding>> findings(kPerBlock);
  for (int64_t i = 0; i < count; ++i) findings[i] = Finding{where[i].second, sizes[i], counts[i], where[i].first, shapes[i], colours[i]};
  random.shuffle(findings);
  return findings;
}

}  // namespace

Study make_study(uint64_t seed, Split split, int64_t index) {
  const auto num_kinds = static_cast<int64_t>(kKinds.size());
  const int64_t kind = index % num_kinds, block = index / kStudiesPerBlock;
  const auto stream = static_cast<uint64_t>(split);
  Random random(derive_seed(seed, kDesign + stream, static_cast<uint64_t>(block * num_kinds + kind)));
  return {kKinds[static_cast<size_t>(kind)], design(kKinds[static_cast<size_t>(kind)], random)[index % kStudiesPerBlock / num_kinds],
          derive_seed(seed, stream, static_cast<uint64_t>(index))};
}

std::vector<Region> regions_of(Kind kind) {
  const auto listed = [](const auto& regions) { return std::vector<Region>(regions.begin(), regions.end()); };
  switch (kind) {
    case Kind::kCt:
      return listed(kCtRegions);
    case Kind::kMri:
      return listed(kMriRegions);
    case Kind::kUltrasound:
      return listed(kUltrasoundRegions);
    case Kind::kXray:
      return listed(kXrayRegions);
    case Kind::kDrawing:
      break;
  }
  return {};
}

std::vector<Topic> topics_of(const Study& study) {
  if (study.kind == Kind::kDrawing) return {Topic::kKind, Topic::kColour, Topic::kCount, Topic::kSide, Topic::kSize};
  if (!study.finding) return {Topic::kKind, Topic::kFinding};
  return {Topic::kKind, Topic::kFinding, Topic::kSide, Topic::kSize, Topic::kCount, Topic::kOrgan};
}

std::vector<Topic> conversation_topics(const Study& study, Random& random) {
  const bool is_drawing = study.kind == Kind::kDrawing;
  // Every other question betrays something of the kind, so that is asked first or not at all, of each kind as often: in 5 of 8
  // conversations. The finding is asked as often, and in the same places, whether there is one or not.
  const int64_t pattern = random.index(8);
  std::vector<Topic> topics;
  if (pattern < 3) {
    topics = {Topic::kKind};
    if (!is_drawing) topics.push_back(Topic::kFinding);
  } else if (pattern < 5 && !is_drawing) {
    topics = {Topic::kFinding};
  } else if (!study.finding || pattern < (is_drawing ? 5 : 6)) {
    topics = {Topic::kKind};
  }
  if (!study.finding) return topics;

  std::vector<Topic> rest = {Topic::kSide, Topic::kSize, Topic::kCount};
  if (is_drawing) {
    rest.push_back(Topic::kColour);
  } else if (study.kind == Kind::kCt) {
    if (random.index(2) == 1) rest[0] = Topic::kOrgan;  // the liver and the spleen betray their side
  } else {
    rest.push_back(Topic::kOrgan);
  }
  random.shuffle(rest);
  topics.insert(topics.end(), rest.begin(), rest.begin() + 3);
  return topics;
}

}  // namespace multimeditron::demo
