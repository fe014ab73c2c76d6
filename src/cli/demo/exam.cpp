#include "cli/demo/exam.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/hash.h"
#include "cli/demo/data_sets.h"
#include "data/dataset.h"
#include "generation/generate.h"
#include "generation/question.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron::demo {
namespace {

/// The topic of a test question follows from its answer.
Topic topic_of(const std::string& answer) {
  if (answer == "yes" || answer == "no") return Topic::kFinding;
  if (answer == "left" || answer == "right") return Topic::kSide;
  return Topic::kKind;
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \n");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \n") - first + 1);
}

}  // namespace

std::vector<Answer> sit_exam(const std::filesystem::path& checkpoint, const std::filesystem::path& test_set) {
  const Pretrained pretrained = load_checkpoint(checkpoint, at::kFloat);
  const auto dataset = open_dataset(test_set);
  std::vector<Answer> answers;
  std::vector<Sample> prompts;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const Row row = dataset->row(i);
    const std::string& bytes = row.modalities.at(0).bytes;
    const std::string question = row.conversations.at(0).content.substr(std::string_view(kAttachmentToken).size());
    const std::vector<RgbImage> images = {decode_image(std::as_bytes(std::span(bytes)))};
    Sample prompt = make_question(*pretrained.model, *pretrained.tokenizer, images, "", question);
    prompt.index = i;
    prompt.images[0].content_hash = std::hash<std::string>()(bytes);  // an image with three questions is encoded once
    prompts.push_back(std::move(prompt));
    const std::string& expected = row.conversations.at(1).content;
    answers.push_back({topic_of(expected), sha256(bytes), question, expected, ""});
  }
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.stop_ids = stop_token_ids(pretrained.model->config(), *pretrained.tokenizer);
  const std::vector<Generation> generations = generate(*pretrained.model, prompts, options);
  for (size_t i = 0; i < answers.size(); ++i) answers[i].answer = trimmed(pretrained.tokenizer->decode(generations[i].ids, true));
  return answers;
}

std::vector<Score> score(const std::vector<Answer>& answers) {
  std::vector<Score> scores;
  for (const Topic topic : kTopics) {
    Score each{topic};
    std::map<std::string, int64_t> counts;
    for (const Answer& answer : answers) {
      if (answer.topic != topic) continue;
      ++each.questions;
      each.right += answer.is_right();
      each.majority = std::max(each.majority, ++counts[answer.expected]);
    }
    scores.push_back(each);
  }
  return scores;
}

std::string answer_table(const std::vector<Answer>& answers, int64_t num_images) {
  std::string table = fmt::format("  {:<8} {:<40} {:<12} {:<12}\n", "image", "question", "expected", "answer");
  std::set<std::string> images;
  for (const Answer& answer : answers) {
    const bool is_next = images.insert(answer.image).second;
    if (static_cast<int64_t>(images.size()) > num_images) break;
    table += fmt::format("  {:<8} {:<40} {:<12} {:<12}{}\n", is_next ? std::to_string(images.size()) : "", answer.question, answer.expected,
                         answer.answer, answer.is_right() ? "" : "  wrong");
  }
  return table;
}

std::string score_table(const std::vector<Score>& scores) {
  std::string table = fmt::format("  {:<18} {:>9} {:>16} {:>16}\n", "topic", "questions", "right answers", "majority answer");
  for (const Score& each : scores) {
    const double percent = 100.0 / static_cast<double>(std::max<int64_t>(1, each.questions));
    table += fmt::format("  {:<18} {:>9} {:>14.1f} % {:>14.1f} %\n", to_string(each.topic), each.questions,
                         percent * static_cast<double>(each.right), percent * static_cast<double>(each.majority));
  }
  return table;
}

}  // namespace multimeditron::demo
