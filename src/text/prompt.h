#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// Where an image's embeddings stand in a sample: positions [start, end).
struct ImageRange {
  int64_t start = 0, end = 0;
  bool operator==(const ImageRange&) const = default;
};

/// A conversation or a plain text as the model sees it.
struct EncodedText {
  std::string text;                      ///< after the chat template, attachment tokens not yet expanded
  std::vector<int64_t> input_ids;        ///< each attachment token expanded into `embeddings_per_image` placeholders (the attachment id)
  std::vector<int64_t> labels;           ///< -100 where nothing is learnt; not shifted
  std::vector<ImageRange> image_ranges;  ///< one an image, in order
  int64_t learnt_tokens = 0;             ///< labels that are not -100
  int64_t dropped_turns = 0;             ///< left out by truncation, from the end
  int64_t dropped_images = 0;            ///< attachments in what was left out: the sample's last images go unused
  bool has_answer = true;                ///< false for a conversation without an assistant turn: for training a bad sample
};

/// A sample's size, before anything of it is needed.
struct EncodedSize {
  int64_t tokens = 0;  ///< with the placeholders, after truncation
  int64_t images = 0;  ///< attachments, those in what truncation leaves out included
};

struct PromptOptions {
  ChatFormat chat_format;  ///< from find_chat_format() for this label_mask; prompts, where nothing is learnt, need none
  LabelMask label_mask = LabelMask::kOriginal;
  int64_t attachment_token_id = 0;
  std::string attachment_token;
  int64_t embeddings_per_image = 0;
  std::optional<int64_t> max_sequence_length;  ///< set where the recipe says `truncation`: whole turns are dropped from the end
  std::string today;                           ///< for chat templates that ask for the date
  bool allow_no_assistant_turn = false;        ///< a view of the data (inspect) shows such conversations; for training they are bad samples
};

/// Renders, tokenizes, expands attachments and labels. Conversations: reference rules of `label_mask`; with `add_generation_prompt` all
/// labels are -100 and nothing is truncated. Throws UserError for what makes a bad sample (template complaint, no assistant turn, too long
/// even after truncation).
EncodedText encode_conversation(const Tokenizer& tokenizer, std::span<const Message> messages, const PromptOptions& options,
                                bool add_generation_prompt = false);

/// A `text` sample: everything but attachments is learnt. Truncation cuts it after its last token that fits, but before an image that
/// does not fit whole or would be left without text behind it.
EncodedText encode_text(const Tokenizer& tokenizer, const std::string& text, const PromptOptions& options);

/// The sizes of what the two above return, without labels: several times cheaper. Throw UserError as they do, but for mistakes that only
/// show while turns are told apart.
EncodedSize measure_conversation(const Tokenizer& tokenizer, std::span<const Message> messages, const PromptOptions& options);
EncodedSize measure_text(const Tokenizer& tokenizer, const std::string& text, const PromptOptions& options);

/// Text typed by a user (generate, server, a task's question) made harmless: it cannot become an attachment or any special token. A blank
/// goes behind the first character of whatever would.
std::string escape_special_tokens(const Tokenizer& tokenizer, std::string_view text);

}  // namespace multimeditron
