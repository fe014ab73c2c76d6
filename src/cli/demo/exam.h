#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/demo/studies.h"

namespace multimeditron::demo {

/// One question on a test image, what is true, and what the model said.
struct Answer {
  Topic topic;
  std::string image, question, expected, answer;  ///< `image`: where it stands in the data set
  bool is_right() const { return answer == expected; }
};

/// Puts every question of the test set to the model, greedily, each by itself.
std::vector<Answer> sit_exam(const std::filesystem::path& checkpoint, const std::filesystem::path& test_set);

struct Score {
  Topic topic;
  int64_t right = 0, questions = 0;
  int64_t majority = 0;  ///< right answers of whoever always gives the commonest one
};
std::vector<Score> score(const std::vector<Answer>& answers);

/// Tables for the terminal: the questions on the first `num_images` images, then right answers by topic.
std::string answer_table(const std::vector<Answer>& answers, int64_t num_images);
std::string score_table(const std::vector<Score>& scores);

}  // namespace multimeditron::demo
