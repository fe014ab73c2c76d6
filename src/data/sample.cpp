#include "data/sample.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "data/image_cache.h"
#include "data/image_loader.h"

namespace multimeditron {
namespace {

/// Adds "image 2" to what `body` throws.
template <typename Body>
auto at_image(size_t item, Body body) {
  try {
    return body();
  } catch (const UserError& error) {
    throw error.at(fmt::format("image {}", item + 1));
  }
}

void require_one_text(const Row& row) {
  if (row.conversations.empty() == row.text.has_value()) return;
  throw UserError(row.text ? "a row with both a text and a conversation" : "a row without a text or a conversation",
                  {.fix = "give each row exactly one of `text` and `conversations`"});
}

/// `num_tokens`: attachment tokens in the row's text.
void require_matching_images(const Row& row, int64_t num_tokens) {
  const auto num_images = static_cast<int64_t>(row.modalities.size());
  if (num_tokens == num_images) return;
  throw UserError("images and attachment tokens do not match",
                  {.found = fmt::format("{} in `modalities`, {} in the text", num_images, num_tokens),
                   .fix = "add the missing token, or run `multimeditron check` to list every such row"});
}

/// Of what length() says: another number makes indices of lengths that are kept on disk void.
constexpr int kLengthRule = 1;

}  // namespace

SampleBuilder::SampleBuilder(const Dataset& dataset, const Tokenizer& tokenizer, PromptOptions prompt, std::vector<LoaderSpec> loaders,
                             std::optional<ImageProcessor> processor)
    : dataset_(dataset),
      tokenizer_(tokenizer),
      prompt_(std::move(prompt)),
      loaders_(std::move(loaders)),
      processor_(std::move(processor)) {}

void SampleBuilder::set_image_cache(int64_t size_bytes) {
  image_cache_ = size_bytes > 0 ? std::make_shared<ImageCache>(size_bytes) : nullptr;
}

ImageCacheUse SampleBuilder::image_cache_use() const {
  return image_cache_ == nullptr ? ImageCacheUse{} : image_cache_->use();
}

EncodedText SampleBuilder::encode(const Row& row, int64_t index) const {
  require_one_text(row);
  EncodedText text = row.text ? encode_text(tokenizer_, *row.text, prompt_) : encode_conversation(tokenizer_, row.conversations, prompt_);
  require_matching_images(row, static_cast<int64_t>(text.image_ranges.size()) + text.dropped_images);
  const auto length = static_cast<int64_t>(text.input_ids.size());
  if (max_length_ && length > *max_length_) {
    throw UserError("a sample is longer than a pack", {.found = fmt::format("{} tokens; a pack has {}", length, *max_length_),
                                                       .fix = "raise `max_length`, or set `truncation: true`"});
  }
  if (!counted_lengths_.empty() && length > counted_lengths_[static_cast<size_t>(index)]) {
    throw UserError("a sample is longer than its place in a pack",
                    {.found = fmt::format("{} tokens; {} when lengths were counted", length, counted_lengths_[static_cast<size_t>(index)]),
                     .fix = "remove the index of lengths that the run's first lines name, so that they are counted anew"});
  }
  return text;
}

std::string SampleBuilder::load_image(const Row& row, size_t item, int64_t index) const {
  return load_attachment(row.modalities[item], loaders_, dataset_.folder(index));
}

RgbImage SampleBuilder::decode(const std::string& bytes, const std::string& type, int64_t index) const {
  return decode_attachment(bytes, type, loaders_, dataset_, index, processor_ ? &*processor_ : nullptr);
}

Sample SampleBuilder::build(int64_t index) const {
  const Row row = dataset_.row(index);
  try {
    Sample sample{.index = index, .text = encode(row, index), .images = {}};
    for (size_t item = 0; item < sample.text.image_ranges.size(); ++item) {
      sample.images.push_back(at_image(item, [&] {
        if (!processor_)
          throw UserError("the model takes no images", {.fix = "leave the rows with images out, or add `modalities` to the recipe"});
        return image_input(load_image(row, item, index), row.modalities[item].type, index);
      }));
    }
    return sample;
  } catch (const UserError& error) {
    throw error.at(dataset_.place(index));
  }
}

ImageInput SampleBuilder::image_input(const std::string& bytes, const std::string& type, int64_t index) const {
  const uint64_t hash = content_hash(bytes) ^ std::hash<std::string>{}(type);  // each type has a loader of its own
  if (image_cache_ != nullptr) {
    if (auto known = image_cache_->find(hash)) return std::move(*known);
  }
  const RgbImage image = decode(bytes, type, index);
  ImageInput input{image.width, image.height, hash, (*processor_)(image)};
  if (image_cache_ != nullptr) image_cache_->add(hash, input);
  return input;
}

int64_t SampleBuilder::length(int64_t index) const {
  try {
    const Row row = dataset_.text_row(index);
    require_one_text(row);
    const EncodedSize size =
        row.text ? measure_text(tokenizer_, *row.text, prompt_) : measure_conversation(tokenizer_, row.conversations, prompt_);
    require_matching_images(row, size.images);
    return size.tokens;
  } catch (const UserError&) {
    return 0;  // build() says why when its turn comes
  }
}

std::string SampleBuilder::length_fingerprint() const {
  const std::string date = tokenizer_.asks_for_the_date() ? prompt_.today : "";
  // Whether a sample can be cut, and so its length, also depends on whether its turns can be told apart.
  const ChatFormat& format = prompt_.chat_format;
  return sha256(fmt::format("{} {} {} {} {} {} {} {} {} {} {}", kLengthRule, dataset_.fingerprint(), tokenizer_.fingerprint(),
                            static_cast<int>(prompt_.label_mask), prompt_.attachment_token_id, prompt_.embeddings_per_image,
                            prompt_.max_sequence_length.value_or(0), prompt_.allow_no_assistant_turn, date, format.mismatch.has_value(),
                            fmt::join(format.end_tags, " ")));
}

std::vector<RgbImage> SampleBuilder::decode_images(int64_t index, size_t count) const {
  const Row row = dataset_.row(index);
  std::vector<RgbImage> images;
  for (size_t item = 0; item < std::min(count, row.modalities.size()); ++item) {
    try {
      images.push_back(at_image(item, [&] { return decode(load_image(row, item, index), row.modalities[item].type, index); }));
    } catch (const UserError& error) {
      throw error.at(dataset_.place(index));
    }
  }
  return images;
}

}  // namespace multimeditron
