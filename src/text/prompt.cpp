#include "text/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "base/error.h"
#include "text/label_mask.h"
#include "text/utf8.h"

namespace multimeditron {
namespace {

constexpr int64_t kNotLearnt = -100;

bool is_ascii_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

EncodedSize measure(std::span<const int64_t> ids, const PromptOptions& options) {
  const auto images = static_cast<int64_t>(std::count(ids.begin(), ids.end(), options.attachment_token_id));
  return {.tokens = static_cast<int64_t>(ids.size()) + images * (options.embeddings_per_image - 1), .images = images};
}

/// Fills ids, labels and ranges of `encoded`: each attachment becomes its image's placeholders, which are never learnt.
void expand_attachments(std::span<const int64_t> ids, const std::vector<bool>& learnt, const PromptOptions& options, EncodedText& encoded) {
  const auto size = static_cast<size_t>(measure(ids, options).tokens);
  encoded.input_ids.reserve(size);
  encoded.labels.reserve(size);
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

/// Tokens that lie wholly inside a span: one that the header shares with the text (two line breaks merged) is the header's. Of a control
/// token that takes blanks around it with it (Phi's) its own characters count; one without characters (SentencePiece's mark before a text)
/// belongs to what follows.
std::vector<bool> tokens_inside(const Tokenizer& tokenizer, const std::string& text, const TokensWithOffsets& tokens,
                                const std::vector<TextSpan>& spans) {
  std::vector<bool> inside(tokens.ids.size(), false);
  auto span = spans.begin();
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    TextSpan token{tokens.starts[i], tokens.ends[i]};
    if (tokenizer.is_special(tokens.ids[i])) {
      while (token.start + 1 < token.end && is_ascii_blank(text[token.start])) ++token.start;
      while (token.start + 1 < token.end && is_ascii_blank(text[token.end - 1])) --token.end;
    }
    while (span != spans.end() && span->end <= token.start) ++span;
    if (span == spans.end()) break;
    inside[i] = token.start >= span->start && token.end <= span->end;
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
    if (options.chat_format.mismatch) throw *options.chat_format.mismatch;
    if (options.chat_format.masked_turns.empty()) throw std::logic_error("a conversation is labelled without its chat format");
    const std::vector<int64_t> ids = tokenizer.encode(encoded.text);
    expand_attachments(ids, learnt_by_original_rule(ids, options.chat_format), options, encoded);
  } else {
    const TokensWithOffsets tokens = tokenizer.encode_with_offsets(encoded.text);
    const auto spans = assistant_spans(tokenizer, messages, encoded.text, options.chat_format, options.today);
    expand_attachments(tokens.ids, tokens_inside(tokenizer, encoded.text, tokens, spans), options, encoded);
  }
  return encoded;
}

bool fits(const EncodedText& encoded, const PromptOptions& options) {
  return !options.max_sequence_length || static_cast<int64_t>(encoded.input_ids.size()) <= *options.max_sequence_length;
}

bool has_assistant_turn(std::span<const Message> messages) {
  return std::any_of(messages.begin(), messages.end(), [](const Message& message) { return message.role == "assistant"; });
}

void require_assistant_turn(std::span<const Message> messages, const PromptOptions& options) {
  if (options.allow_no_assistant_turn || has_assistant_turn(messages)) return;
  throw UserError("the conversation has no assistant turn", {.found = fmt::format("{} messages, none of role assistant", messages.size()),
                                                             .fix = "give it an answer to learn, or leave it out"});
}

bool fits(const EncodedSize& size, const PromptOptions& options) {
  return !options.max_sequence_length || size.tokens <= *options.max_sequence_length;
}

EncodedSize size_of(const EncodedText& encoded) {
  return {.tokens = static_cast<int64_t>(encoded.input_ids.size()),
          .images = static_cast<int64_t>(encoded.image_ranges.size()) + encoded.dropped_images};
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
  if (!add_generation_prompt) require_assistant_turn(messages, options);
  EncodedText whole = encode_whole(tokenizer, messages, options, add_generation_prompt);
  whole.has_answer = has_assistant_turn(messages);
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

EncodedSize measure_conversation(const Tokenizer& tokenizer, std::span<const Message> messages, const PromptOptions& options) {
  require_assistant_turn(messages, options);
  const std::vector<int64_t> ids = tokenizer.encode(tokenizer.apply_chat_template(messages, false, options.today));
  const EncodedSize size = measure(ids, options);
  return fits(size, options) ? size : size_of(encode_conversation(tokenizer, messages, options));
}

EncodedSize measure_text(const Tokenizer& tokenizer, const std::string& text, const PromptOptions& options) {
  const EncodedSize size = measure(tokenizer.encode(text, true), options);
  return fits(size, options) ? size : size_of(encode_text(tokenizer, text, options));
}

namespace {

/// Puts a blank behind the first character of each token in `guarded`, or takes the token out.
std::string without_tokens(const Tokenizer& tokenizer, const std::unordered_set<int64_t>& guarded, const std::string& text, bool take_out) {
  const TokensWithOffsets tokens = tokenizer.encode_with_offsets(text);
  std::string result;
  size_t copied = 0;
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    if (!guarded.contains(tokens.ids[i])) continue;
    // a token may take blanks around it with it
    size_t first = tokens.starts[i];
    while (first + 1 < tokens.ends[i] && is_ascii_blank(text[first])) ++first;
    size_t behind = first + 1;
    while (behind < tokens.ends[i] && is_continuation(text[behind])) ++behind;
    const bool breakable = behind < tokens.ends[i] && !take_out;
    result.append(text, copied, (breakable ? behind : tokens.starts[i]) - copied);
    result += ' ';
    copied = breakable ? behind : tokens.ends[i];
  }
  return result + text.substr(copied);
}

/// Puts a blank behind the first character of each tag.
std::string without_tags(const std::vector<std::string>& tags, std::string text) {
  for (const std::string& tag : tags)
    for (size_t at = 0; (at = text.find(tag, at)) != std::string::npos; at += 2) text.insert(at + 1, 1, ' ');
  return text;
}

}  // namespace

std::string escape_special_tokens(const Tokenizer& tokenizer, std::string_view text) {
  // Tags such as <think> count too: templates treat some of them like control tokens. Added tokens that are plain words or blanks do not.
  std::unordered_set<int64_t> guarded;
  for (const AddedToken& token : tokenizer.added_tokens())
    if (token.special || token.content.starts_with('<')) guarded.insert(token.id);
  const std::vector<std::string> tags = chat_tags(tokenizer);

  std::string escaped(text);
  // A blank may complete another token ("< b>"): look again until nothing is found; what still is after that is taken out.
  for (int round = 0; round < 64; ++round) {
    std::string next = without_tags(tags, without_tokens(tokenizer, guarded, escaped, round >= 32));
    if (next == escaped) break;
    escaped = std::move(next);
  }
  return escaped;
}

}  // namespace multimeditron
