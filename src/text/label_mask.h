#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/chat_format.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// Bytes [start, end) of a rendered conversation.
struct TextSpan {
  size_t start = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// The rule `original`: for each id, whether it is learnt. Everything is but the spans from a system or user (Apertus: also developer)
/// opening up to and including the next end tag (Qwen3: with the line break after it); both are token sequences, searched in `ids`.
std::vector<bool> learnt_by_original_rule(std::span<const int64_t> ids, const ChatFormat& format);

/// The rule `assistant`: where in `text` (the rendered `messages`) the assistant's texts and their end tags stand, in order. Found from
/// how the template places the messages, not by searching for control tokens. Throws UserError where the template hides it.
std::vector<TextSpan> assistant_spans(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                      const ChatFormat& format, const std::string& today);

}  // namespace multimeditron
