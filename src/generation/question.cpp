#include "generation/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/hash.h"
#include "base/process.h"

namespace multimeditron {
namespace {

/// Those of a chat model; `<SPECIAL_68>` is what older Apertus tokenizers call `<|assistant_end|>`.
constexpr const char* kEndOfTurn[] = {"<|im_end|>", "<|eot_id|>", "<|assistant_end|>", "<SPECIAL_68>"};

uint64_t content_hash(const RgbImage& image) {
  const std::string digits = sha256(std::as_bytes(std::span(image.pixels)));
  uint64_t hash = 0;
  std::from_chars(digits.data(), digits.data() + 16, hash, 16);
  return hash ^ static_cast<uint64_t>(image.width);  // the same bytes in other rows are another image
}

}  // namespace

Sample make_question(const MultimodalModel& model, const Tokenizer& tokenizer, std::span<const RgbImage> images, const std::string& system,
                     const std::string& question) {
  if (!images.empty() && model.config().modalities.empty()) refuse_images(images.size());
  std::vector<ImageInput> inputs;
  for (const RgbImage& image : images)
    inputs.push_back({image.width, image.height, content_hash(image), model.config().modalities.front().processor(image)});
  return make_question(model, tokenizer, std::move(inputs), system, question);
}

Sample make_question(const MultimodalModel& model, const Tokenizer& tokenizer, std::vector<ImageInput> images, const std::string& system,
                     const std::string& question) {
  const ModelConfig& config = model.config();
  if (!images.empty() && config.modalities.empty()) refuse_images(images.size());
  PromptOptions options;
  options.attachment_token = config.attachment_token;
  options.attachment_token_id = config.attachment_token_id;
  options.embeddings_per_image = model.embeddings_per_image();
  options.today = today_iso_date();

  Sample sample;
  std::string content;
  for (size_t i = 0; i < images.size(); ++i) content += config.attachment_token;
  sample.images = std::move(images);
  content += escape_special_tokens(tokenizer, question);
  if (tokenizer.has_chat_template()) {
    std::vector<Message> messages;
    if (!system.empty()) messages.push_back({"system", escape_special_tokens(tokenizer, system)});
    messages.push_back({"user", content});
    sample.text = encode_conversation(tokenizer, messages, options, true);
  } else {
    sample.text = encode_text(tokenizer, system.empty() ? content : escape_special_tokens(tokenizer, system) + "\n" + content, options);
  }
  std::fill(sample.text.labels.begin(), sample.text.labels.end(), -100);
  sample.text.learnt_tokens = 0;

  const auto length = static_cast<int64_t>(sample.text.input_ids.size());
  const int64_t positions = config.llm.max_position_embeddings;
  if (positions > 0 && length >= positions)
    throw UserError("the question is longer than the model can read",
                    {.found = fmt::format("{} tokens; the model has {} positions", length, positions),
                     .fix = "shorten the question, or give fewer images"});
  return sample;
}

void refuse_images(size_t num_images) {
  throw UserError("this model takes no images", {.found = fmt::format("{} image(s) and a plain language model", num_images),
                                                 .fix = "leave `--image` out, or name a checkpoint with a vision encoder"});
}

std::vector<int64_t> stop_token_ids(const ModelConfig& config, const Tokenizer& tokenizer) {
  std::vector<int64_t> ids;
  const auto add = [&](const Json& value) {
    if (value.is_number_integer()) ids.push_back(value.get<int64_t>());
    if (value.is_array())
      for (const Json& entry : value)
        if (entry.is_number_integer()) ids.push_back(entry.get<int64_t>());
  };
  for (const Json* json : {&config.generation_config, &config.llm.json}) {
    if (!json->is_object() || !json->contains("eos_token_id")) continue;
    add(json->at("eos_token_id"));
    if (!ids.empty()) break;
  }
  if (const auto id = tokenizer.eos_token_id()) ids.push_back(*id);
  for (const char* token : kEndOfTurn)
    if (const auto id = tokenizer.token_id(token)) ids.push_back(*id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace multimeditron
