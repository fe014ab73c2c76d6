#include "data/pairs.h"

#include <fmt/format.h>

#include "base/error.h"
#include "data/image_loader.h"

namespace multimeditron {

std::vector<int64_t> caption_ids(const Tokenizer& tokenizer, const std::string& caption, const CaptionRule& rule) {
  std::vector<int64_t> ids = tokenizer.encode(caption, /*add_special_tokens=*/true);
  if (!ids.empty() && ids.back() == rule.eos_token_id) ids.pop_back();
  ids.resize(std::min<size_t>(ids.size(), static_cast<size_t>(rule.max_length - 1)));
  ids.push_back(rule.eos_token_id);
  return ids;
}

PairBuilder::PairBuilder(const Dataset& dataset, const Tokenizer& tokenizer, std::vector<LoaderSpec> loaders, ImageProcessor processor,
                         std::string attachment_token, CaptionRule rule)
    : dataset_(dataset),
      tokenizer_(tokenizer),
      loaders_(std::move(loaders)),
      processor_(std::move(processor)),
      attachment_token_(std::move(attachment_token)),
      rule_(rule) {}

std::string PairBuilder::caption(const Row& row) const {
  std::string caption;
  if (row.text) {
    caption = *row.text;
  } else {
    for (const Message& message : row.conversations) {
      if (message.role != "assistant") continue;
      caption = message.content;
      break;
    }
  }
  std::string without;
  size_t start = 0;
  for (size_t at; (at = caption.find(attachment_token_, start)) != std::string::npos; start = at + attachment_token_.size()) {
    without.append(caption, start, at - start);
  }
  without.append(caption, start);
  return without;
}

Sample PairBuilder::build(int64_t index) const {
  const Row row = dataset_.row(index);
  try {
    if (row.modalities.size() != 1) {
      throw UserError("a pair has one image", {.found = fmt::format("{} in `modalities`", row.modalities.size()),
                                               .fix = "give each row exactly one image and its caption"});
    }
    const std::string text = caption(row);
    if (text.find_first_not_of(" \t\r\n") == std::string::npos)
      throw UserError("a pair has no caption", {.fix = "give the row a `text`, or a conversation with an answer"});
    Sample sample{.index = index, .text = {}, .images = {}};
    sample.text.input_ids = caption_ids(tokenizer_, text, rule_);
    const std::string bytes = load_attachment(row.modalities[0], loaders_, dataset_.folder(index));
    const RgbImage image = decode_attachment(bytes, row.modalities[0].type, loaders_, dataset_, index, &processor_);
    sample.images.push_back({image.width, image.height, 0, processor_(image)});
    return sample;
  } catch (const UserError& error) {
    throw error.at(dataset_.place(index));
  }
}

}  // namespace multimeditron
