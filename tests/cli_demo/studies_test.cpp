#include "cli/demo/studies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace multimeditron::demo {
namespace {

/// How often each answer comes, by the image's kind and the question's topic.
using Tally = std::map<std::tuple<Kind, Topic>, std::map<std::string, int>>;

/// Largest distance of an answer's share from equal shares. Kinds are compared over all images: within one there is a single answer.
double imbalance(const std::map<std::string, int>& answers, size_t num_answers) {
  double total = 0, worst = 0;
  for (const auto& [answer, count] : answers) total += count;
  for (const auto& [answer, count] : answers) worst = std::max(worst, std::abs(count / total - 1.0 / static_cast<double>(num_answers)));
  return answers.size() == num_answers ? worst : 1;
}

size_t num_answers(Kind kind, Topic topic) {
  switch (topic) {
    case Topic::kKind:
      return kKinds.size();
    case Topic::kFinding:
    case Topic::kSide:
    case Topic::kSize:
      return 2;
    case Topic::kCount:
      return 3;
    case Topic::kOrgan:
      return kind == Kind::kCt ? 3 : 2;
    case Topic::kColour:
      break;
  }
  return 4;
}

Tally merge_kinds(Tally tally) {
  std::map<std::string, int> kinds;
  for (const Kind kind : kKinds) {
    for (const auto& [answer, count] : tally[{kind, Topic::kKind}]) kinds[answer] += count;
    tally.erase({kind, Topic::kKind});
  }
  tally[{Kind::kCt, Topic::kKind}] = kinds;
  return tally;
}

TEST(Studies, EveryBlockHasEachAnswerEquallyOften) {
  for (int64_t block = 0; block < 20; ++block) {
    Tally tally;
    Random random(1);
    for (int64_t i = block * kStudiesPerBlock; i < (block + 1) * kStudiesPerBlock; ++i) {
      const Study study = make_study(0, Split::kTest, i);
      for (const Topic topic : topics_of(study)) ++tally[{study.kind, topic}][ask(topic, study, random).answer];
    }
    for (const auto& [key, answers] : merge_kinds(tally)) {
      EXPECT_LT(imbalance(answers, num_answers(std::get<0>(key), std::get<1>(key))), 1e-9) << to_string(std::get<1>(key));
    }
  }
}

TEST(Studies, OneFactTellsNothingOfAnother) {
  // By kind: how often two facts come together, which is the product of how often each comes.
  std::map<Kind, std::map<std::pair<int, int>, int>> pairs;
  std::map<Kind, int> total;
  constexpr int kNumFacts = 3;
  for (int64_t i = 0; i < 24000; ++i) {
    const Study study = make_study(5, Split::kInstructions, i);
    if (!study.finding) continue;
    const Finding& finding = *study.finding;
    const int place = study.kind == Kind::kDrawing ? static_cast<int>(finding.shape) * 4 + static_cast<int>(finding.colour)
                                                   : static_cast<int>(finding.region);
    const int facts[kNumFacts] = {static_cast<int>(finding.size), static_cast<int>(finding.count),
                                  place * 2 + static_cast<int>(finding.side)};
    ++total[study.kind];
    for (int a = 0; a < kNumFacts; ++a) {
      for (int b = 0; b <= a; ++b) ++pairs[study.kind][{a * 100 + facts[a], b * 100 + facts[b]}];
    }
  }
  for (const auto& [kind, counts] : pairs) {
    const double all = total[kind];
    for (const auto& [pair, count] : counts) {
      if (pair.first / 100 == pair.second / 100) continue;
      const double first = counts.at({pair.first, pair.first}) / all, second = counts.at({pair.second, pair.second}) / all;
      EXPECT_NEAR(count / all, first * second, 0.02) << static_cast<int>(kind) << " " << pair.first << " " << pair.second;
    }
  }
}

/// One question of a conversation with all that came before it.
struct Turn {
  Kind kind;
  Topic topic;
  std::string context, answer;
};

std::vector<Turn> turns(Split split, int64_t count) {
  std::vector<Turn> turns;
  for (int64_t i = 0; i < count; ++i) {
    const Study study = make_study(2, split, i);
    Random random(study.seed);
    std::string context;
    for (const Topic topic : conversation_topics(study, random)) {
      const Question question = ask(topic, study, random);
      turns.push_back({study.kind, topic, context + question.question, question.answer});
      // Without the earlier wordings, of which there are too many combinations to learn anything by heart.
      context += std::string(to_string(topic)) + question.answer + "|";
    }
  }
  return turns;
}

TEST(Conversations, EachAnswerIsEquallyOftenRight) {
  Tally tally;
  for (const Turn& turn : turns(Split::kInstructions, 60000)) ++tally[{turn.kind, turn.topic}][turn.answer];
  for (const auto& [key, answers] : merge_kinds(tally)) {
    EXPECT_LT(imbalance(answers, num_answers(std::get<0>(key), std::get<1>(key))), 0.02)
        << static_cast<int>(std::get<0>(key)) << " " << to_string(std::get<1>(key));
  }
}

TEST(Conversations, WordsAloneDoNotTellTheAnswer) {
  // Learns by heart, for each question with all that came before, the commonest answer, and guesses on another draw: whoever does not know
  // the kind does no better than by always giving the kind's commonest answer.
  std::map<std::string, std::map<std::string, int>> seen;
  for (const Turn& turn : turns(Split::kInstructions, 60000)) ++seen[turn.context][turn.answer];
  std::map<std::pair<Kind, Topic>, std::pair<int, int>> right;  // of how many
  for (const Turn& turn : turns(Split::kAlignment, 30000)) {
    const auto& answers = seen[turn.context];
    const auto best = std::max_element(answers.begin(), answers.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    auto& score = right[{turn.topic == Topic::kKind ? Kind::kCt : turn.kind, turn.topic}];
    score.first += best != answers.end() && best->first == turn.answer;
    ++score.second;
  }
  for (const auto& [key, score] : right) {
    EXPECT_LT(score.first / static_cast<double>(score.second), 1.0 / static_cast<double>(num_answers(key.first, key.second)) + 0.025)
        << static_cast<int>(key.first) << " " << to_string(key.second);
  }
}

TEST(Conversations, EveryTopicComesUp) {
  std::map<Topic, int> counts;
  for (const Turn& turn : turns(Split::kText, 1200)) ++counts[turn.topic];
  for (const Topic topic : kTopics) EXPECT_GT(counts[topic], 50) << to_string(topic);
}

TEST(Studies, SplitsShareNoSeed) {
  std::set<uint64_t> seeds;
  for (const Split split : {Split::kText, Split::kPairs, Split::kAlignment, Split::kInstructions, Split::kTest}) {
    for (int i = 0; i < 4000; ++i) seeds.insert(make_study(0, split, i).seed);
  }
  EXPECT_EQ(seeds.size(), 20000u);
}

TEST(Captions, TellEverythingThatIsAsked) {
  for (int i = 0; i < 600; ++i) {
    const Study study = make_study(9, Split::kAlignment, i);
    Random random(study.seed);
    std::string text = caption(study, random);
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const Topic topic : topics_of(study)) {
      if (topic == Topic::kFinding) continue;
      std::string answer = ask(topic, study, random).answer;
      std::transform(answer.begin(), answer.end(), answer.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      EXPECT_NE(text.find(answer), std::string::npos) << text << " " << answer;
    }
    const bool left = text.find(" left") != std::string::npos, right = text.find(" right") != std::string::npos;
    EXPECT_EQ(left || right, study.finding.has_value()) << text;
    EXPECT_FALSE(left && right) << text;
  }
}

}  // namespace
}  // namespace multimeditron::demo
