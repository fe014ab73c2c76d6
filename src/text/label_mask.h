#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// Bytes [start, end) of a rendered conversation.
struct TextSpan {
  size_t start = 0, end = 0;
  bool operator==(const TextSpan&) const = default;
};

/// The rule `original`: for each id, whether it is learnt. Everything is but the spans from a system or user (Apertus: also developer)
/// opening up to and including the next end tag (Qwen3: with the line break after it); both are token sequences, searched in `ids`.
/// Throws UserError where the tokenizer lacks the delimiters of `type`.
std::vector<bool> learnt_by_original_rule(const Tokenizer& tokenizer, std::span<const int64_t> ids, TokenizerType type);

/// The rule `assistant`: where in `text` (the rendered `messages`) the assistant's texts and their end tags stand, in order. Found from
/// how the template places the messages, not by searching for control tokens. Throws UserError where the template hides it.
std::vector<TextSpan> assistant_spans(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                      TokenizerType type, const std::string& today);

}  // namespace multimeditron
