#include "evaluation/answering.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "data/parallel.h"
#include "evaluation/batches.h"
#include "evaluation/scoring.h"
#include "evaluation/swap.h"
#include "generation/generate.h"
#include "generation/question.h"

namespace multimeditron {
namespace {

enum class Way { kOwnImages, kSwappedImages, kBlind };

const TaskRow kNoImages;

/// One prompt to be answered.
struct Request {
  size_t row = 0;
  Way way = Way::kOwnImages;
  const TaskRow* images = &kNoImages;  // whose images it is asked with
};

uint64_t hash_of(const TaskImage& image) {
  uint64_t hash = 0;
  std::from_chars(image.content.data(), image.content.data() + 16, hash, 16);
  return hash;
}

/// The prompt with images that have no pixels yet.
Sample make_prompt(const Pretrained& pretrained, const std::string& question, const TaskRow& images) {
  std::vector<ImageInput> inputs;
  for (const TaskImage& image : images.images) inputs.push_back({.content_hash = hash_of(image)});
  return make_question(*pretrained.model, *pretrained.tokenizer, std::move(inputs), "", question);
}

ImageInput load_image(const MultimodalModel& model, const TaskImage& image, const VolumeOptions& view) {
  const std::string bytes = read_image(image);
  try {
    const RgbImage rgb = decode_image(std::as_bytes(std::span(bytes)), {.volume = view});
    return {rgb.width, rgb.height, hash_of(image), model.config().modalities.front().processor(rgb)};
  } catch (const UserError& error) {
    throw error.at(image.file.empty() ? image.name : image.file.string());  // it could be read a moment ago
  }
}

/// Requests in the order in which they are answered: what is asked on one image side by side, blind ones last.
std::vector<Request> order_requests(const Task& task, std::span<const std::optional<size_t>> partners, bool with_baselines) {
  std::map<std::string, std::vector<Request>> by_image;  // by content
  std::vector<std::string> order;
  std::vector<Request> blind;
  std::set<std::string> asked_blind;
  const auto add = [&](const Request& request) {
    const std::string content = request.images->images.empty() ? "" : request.images->images.front().content;
    auto& requests = by_image[content];
    if (requests.empty()) order.push_back(content);
    requests.push_back(request);
  };
  for (size_t i = 0; i < task.rows.size(); ++i) {
    const TaskRow& row = task.rows[i];
    add({i, Way::kOwnImages, &row});
    if (!with_baselines || row.images.empty()) continue;
    if (partners[i]) add({i, Way::kSwappedImages, &task.rows[*partners[i]]});
    if (asked_blind.insert(row.question).second) blind.push_back({i, Way::kBlind, &kNoImages});
  }
  std::vector<Request> requests;
  for (const std::string& content : order) requests.insert(requests.end(), by_image[content].begin(), by_image[content].end());
  requests.insert(requests.end(), blind.begin(), blind.end());
  return requests;
}

BatchLimits limits_for(const MultimodalModel& model, const AnsweringOptions& options) {
  const ModelConfig& config = model.config();
  const DecoderConfig& llm = config.llm;
  const double element = model.dtype() == at::kFloat ? 4 : 2;
  BatchLimits limits;
  limits.new_tokens =
      llm.max_position_embeddings > 0 ? std::min(options.max_new_tokens, llm.max_position_embeddings) : options.max_new_tokens;
  if (options.batch_size > 0) {
    limits.max_prompts = options.batch_size;
    return limits;
  }
  limits.bytes_per_cached_token = 2.0 * static_cast<double>(llm.num_hidden_layers * llm.num_key_value_heads * llm.head_dim) * element;
  // The widest moment of a block: residual, norm, gate and up, their product.
  limits.bytes_per_prompt_token = static_cast<double>(3 * llm.hidden_size + 3 * llm.intermediate_size) * element;
  limits.bytes_per_prompt = static_cast<double>(llm.vocab_size) * (element + 4);
  if (!config.modalities.empty()) {
    const ModalityConfig& modality = config.modalities.front();
    const VisionConfig& vision = modality.vision;
    const int64_t pixels = 3 * vision.image_size * vision.image_size;
    // Towers run one after the other; of a mixture's experts the tokens stay.
    const int64_t kept = modality.num_experts() * 2 * std::max(vision.hidden_size, llm.hidden_size);
    limits.bytes_per_image =
        static_cast<double>(pixels * 8 + vision.num_patches() * (6 * vision.hidden_size + vision.intermediate_size + kept) * 4);
  }
  return limits;
}

/// Answers requests batch by batch.
class Answerer {
 public:
  Answerer(const Pretrained& pretrained, const Task& task, const AnsweringOptions& options)
      : pretrained_(pretrained), task_(task), options_(options) {
    generation_.max_new_tokens = options.max_new_tokens;
    generation_.stop_ids = stop_token_ids(pretrained.model->config(), *pretrained.tokenizer);
  }

  std::vector<std::string> answer(std::span<const Request> requests, int64_t& generated_tokens) {
    std::vector<Sample> prompts(requests.size());
    for (size_t i = 0; i < requests.size(); ++i)
      prompts[i] = make_prompt(pretrained_, task_.rows[requests[i].row].question, *requests[i].images);
    load_pixels(requests, prompts);
    std::vector<std::string> answers;
    for (const Generation& generation : generate(*pretrained_.model, prompts, generation_)) {
      generated_tokens += static_cast<int64_t>(generation.ids.size());
      answers.emplace_back(stripped(pretrained_.tokenizer->decode(generation.ids, true)));
    }
    return answers;
  }

 private:
  /// Pixels of each image once, where it occurs first: the batch takes them from there.
  void load_pixels(std::span<const Request> requests, std::span<Sample> prompts) {
    std::vector<std::pair<ImageInput*, const TaskImage*>> wanted;
    std::set<std::string> known;
    for (size_t i = 0; i < requests.size(); ++i) {
      for (size_t k = 0; k < requests[i].images->images.size(); ++k) {
        const TaskImage& image = requests[i].images->images[k];
        if (known.insert(image.content).second) wanted.emplace_back(&prompts[i].images[k], &image);
      }
    }
    for_each_parallel(static_cast<int64_t>(wanted.size()), static_cast<int>(std::thread::hardware_concurrency()), [&](int64_t i) {
      const auto& [input, image] = wanted[static_cast<size_t>(i)];
      *input = load_image(*pretrained_.model, *image, task_.view);
    });
  }

  const Pretrained& pretrained_;
  const Task& task_;
  AnsweringOptions options_;
  GenerationOptions generation_;
};

/// Rows whose question the model has no room for move to task.unusable.
void drop_too_long(const Pretrained& pretrained, Task& task) {
  std::erase_if(task.rows, [&](const TaskRow& row) {
    try {
      make_prompt(pretrained, row.question, row);
      return false;
    } catch (const UserError& error) {
      task.unusable.push_back({row.id, row.line, "", error.message() + ": " + error.details().found});
      return true;
    }
  });
}

}  // namespace

std::vector<ImageInput> load_images(const MultimodalModel& model, const TaskRow& row, const VolumeOptions& view) {
  std::vector<ImageInput> images;
  for (const TaskImage& image : row.images) images.push_back(load_image(model, image, view));
  return images;
}

Answering answer_task(const Pretrained& pretrained, Task& task, const AnsweringOptions& options,
                      const std::function<void(int64_t, int64_t)>& on_progress) {
  require_sight(task, !pretrained.model->config().modalities.empty());
  drop_too_long(pretrained, task);
  require_usable(task);

  Answering result;
  result.rows.resize(task.rows.size());
  const auto partners = swap_partners(task.rows, options.seed);
  std::vector<Request> requests = order_requests(task, partners, options.with_baselines);
  // Another row's images may be more than this question leaves room for: it is then not asked with them.
  std::vector<PromptSize> sizes;
  std::erase_if(requests, [&](const Request& request) {
    const std::vector<TaskImage>& images = request.images->images;
    try {
      const Sample prompt = make_prompt(pretrained, task.rows[request.row].question, *request.images);
      sizes.push_back({static_cast<int64_t>(prompt.text.input_ids.size()), static_cast<int64_t>(images.size()),
                       images.empty() ? "" : images.front().content});
      return false;
    } catch (const UserError&) {
      return true;
    }
  });

  Answerer answerer(pretrained, task, options);
  std::map<std::string, std::string> blind;  // by question
  const auto total = static_cast<int64_t>(requests.size());
  on_progress(0, total);
  for (const auto& [first, last] : plan_batches(sizes, limits_for(*pretrained.model, options))) {
    const auto batch = std::span(requests).subspan(first, last - first);
    const std::vector<std::string> answers = answerer.answer(batch, result.generated_tokens);
    for (size_t i = 0; i < batch.size(); ++i) {
      RowAnswers& row = result.rows[batch[i].row];
      if (batch[i].way == Way::kOwnImages) row.answer = answers[i];
      if (batch[i].way == Way::kBlind) blind[task.rows[batch[i].row].question] = answers[i];
      if (batch[i].way != Way::kSwappedImages) continue;
      row.swapped = answers[i];
      row.swapped_images = partners[batch[i].row];
    }
    on_progress(static_cast<int64_t>(last), total);
  }
  if (!options.with_baselines) return result;
  for (size_t i = 0; i < task.rows.size(); ++i)
    result.rows[i].blind = task.rows[i].images.empty() ? result.rows[i].answer : blind.at(task.rows[i].question);
  return result;
}

}  // namespace multimeditron
