#include "text/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "text/label_mask.h"

namespace multimeditron {
namespace {

constexpr int64_t kNotLearnt = -100;

/// Fills ids, labels and ranges of `encoded`: each attachment becomes its image's placeholders, which are never learnt.
void expand_attachments(std::span<const int64_t> ids, const std::vector<bool>& learnt, const PromptOptions& options, EncodedText& encoded) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != options.attachment_token_id) {
      encoded.input_ids.push_back(ids[i]);
      encoded.labels.push_back(learnt[i] ? ids[i] : kNotLearnt);
      encoded.learnt_tokens += learnt[i];
      continue;
    }
    const auto start = static_cast<int64_t>(encoded.input_ids.size());
    const int64_t end = start + options.embeddings_per_image;
    encoded.input_ids.resize(static_cast<size_t>(end), options.attachment_token_id);
    encoded.labels.resize(static_cast<size_t>(end), kNotLearnt);
    encoded.image_ranges.push_back({start, end});
  }
}

/// Tokens that lie wholly inside a span: one that the header shares with the text (two line breaks merged) is the header's.
std::vector<bool> tokens_inside(const TokensWithOffsets& tokens, const std::vector<TextSpan>& spans) {
  std::vector<bool> inside(tokens.ids.size(), false);
  auto span = spans.begin();
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    while (span != spans.end() && span->end <= tokens.starts[i]) ++span;
    if (span == spans.end()) break;
    inside[i] = tokens.starts[i] >= span->start && tokens.ends[i] <= span->end && tokens.starts[i] < tokens.ends[i];
  }
  return inside;
}

EncodedText encode_whole(const Tokenizer& tokenizer, std::span<const Message> messages, const PromptOptions& options,
                         bool add_generation_prompt) {
  EncodedText encoded;
  encoded.text = tokenizer.apply_chat_template(messages, add_generation_prompt, options.today);
  if (add_generation_prompt) {
    const std::vector<int64_t> ids = tokenizer.encode(encoded.text);
    expand_attachments(ids, std::vector<bool>(ids.size(), false), options, encoded);
  } else if (options.label_mask == LabelMask::kOriginal) {
    const std::vector<int64_t> ids = tokenizer.encode(encoded.text);
    expand_attachments(ids, learnt_by_original_rule(tokenizer, ids, options.tokenizer_type), options, encoded);
  } else {
    const TokensWithOffsets tokens = tokenizer.encode_with_offsets(encoded.text);
    const auto spans = assistant_spans(tokenizer, messages, encoded.text, options.tokenizer_type, options.today);
    expand_attachments(tokens.ids, tokens_inside(tokens, spans), options, encoded);
  }
  return encoded;
}

bool fits(const EncodedText& encoded, const PromptOptions& options) {
  return !options.max_sequence_length || static_cast<int64_t>(encoded.input_ids.size()) <= *options.max_sequence_length;
}

/// The conversation's beginning up to and including the last assistant turn before its last message.
std::span<const Message> without_last_exchange(std::span<const Message> messages) {
  size_t kept = messages.empty() ? 0 : messages.size() - 1;
  while (kept > 0 && messages[kept - 1].role != "assistant") --kept;
  return messages.first(kept);
}

}  // namespace

EncodedText encode_conversation(const Tokenizer& tokenizer, std::span<const Message> messages, const PromptOptions& options,
                                bool add_generation_prompt) {
  const bool has_assistant = std::any_of(messages.begin(), messages.end(), [](const Message& m) { return m.role == "assistant"; });
  if (!add_generation_prompt && !has_assistant && !options.allow_no_assistant_turn)
    throw UserError("the conversation has no assistant turn", {.found = fmt::format("{} messages, none of role assistant", messages.size()),
                                                               .fix = "give it an answer to learn, or leave it out"});
  EncodedText whole = encode_whole(tokenizer, messages, options, add_generation_prompt);
  if (add_generation_prompt || fits(whole, options)) return whole;

  // Every cut ends with an answer, so no question and no image is left without what was said about it.
  for (auto kept = without_last_exchange(messages); !kept.empty(); kept = without_last_exchange(kept)) {
    EncodedText encoded = encode_whole(tokenizer, kept, options, false);
    if (!fits(encoded, options)) continue;
    encoded.dropped_turns = static_cast<int64_t>(messages.size() - kept.size());
    encoded.dropped_images = static_cast<int64_t>(whole.image_ranges.size() - encoded.image_ranges.size());
    return encoded;
  }
  throw UserError(
      "the conversation is too long even without its later turns",
      {.found = fmt::format("{} tokens, more than max_sequence_length: {}", whole.input_ids.size(), *options.max_sequence_length),
       .fix = "raise max_sequence_length, or shorten the first question and answer"});
}

EncodedText encode_text(const Tokenizer& tokenizer, const std::string& text, const PromptOptions& options) {
  EncodedText encoded{.text = text};
  const std::vector<int64_t> ids = tokenizer.encode(text, true);
  expand_attachments(ids, std::vector<bool>(ids.size(), true), options, encoded);
  if (fits(encoded, options)) return encoded;

  int64_t size = *options.max_sequence_length;
  auto& images = encoded.image_ranges;
  const auto num_images = images.size();
  while (!images.empty() && images.back().end >= size) {
    size = std::min(size, images.back().start);
    images.pop_back();
  }
  encoded.dropped_images = static_cast<int64_t>(num_images - images.size());
  encoded.input_ids.resize(static_cast<size_t>(size));
  encoded.labels.resize(static_cast<size_t>(size));
  encoded.learnt_tokens = std::count_if(encoded.labels.begin(), encoded.labels.end(), [](int64_t label) { return label != kNotLearnt; });
  if (encoded.learnt_tokens == 0)
    throw UserError("the text is too long even when cut",
                    {.found = fmt::format("no text before position {} (max_sequence_length)", *options.max_sequence_length),
                     .fix = "raise max_sequence_length"});
  return encoded;
}

std::string escape_special_tokens(const Tokenizer& tokenizer, std::string_view text) {
  // Tags such as <think> count too: templates treat some of them like control tokens. Added tokens that are plain words or blanks do not.
  std::unordered_set<int64_t> guarded;
  for (const AddedToken& token : tokenizer.added_tokens())
    if (token.special || token.content.starts_with('<')) guarded.insert(token.id);

  std::string escaped(text);
  // A blank may complete another token ("< b>"): look again until nothing is found; what still is after that is taken out.
  for (int round = 0; round < 64; ++round) {
    const TokensWithOffsets tokens = tokenizer.encode_with_offsets(escaped);
    std::string next;
    size_t copied = 0;
    for (size_t i = 0; i < tokens.ids.size(); ++i) {
      if (!guarded.contains(tokens.ids[i])) continue;
      // a token may take blanks around it with it
      size_t first = tokens.starts[i];
      while (first + 1 < tokens.ends[i] && escaped[first] == ' ') ++first;
      size_t behind = first + 1;
      while (behind < tokens.ends[i] && (static_cast<unsigned char>(escaped[behind]) & 0xc0) == 0x80) ++behind;
      const bool breakable = behind < tokens.ends[i] && round < 32;
      next.append(escaped, copied, (breakable ? behind : tokens.starts[i]) - copied);
      next += ' ';
      copied = breakable ? behind : tokens.ends[i];
    }
    if (copied == 0) break;
    escaped = next + escaped.substr(copied);
  }
  return escaped;
}

}  // namespace multimeditron
