#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace multimeditron {

/// A private-use character put into an assistant's message, which a template carries along.
struct Mark {
  enum class Kind { kBodyStart, kInnerStart, kBodyEnd };
  size_t message = 0;
  Kind kind = Kind::kBodyStart;
  size_t offset = 0;  ///< bytes of the message's body before it
};

/// A mark in a rendered text: its place once all marks are taken out.
struct PlacedMark {
  Mark mark;
  size_t at = 0;
};

struct MarkedText {
  std::string text;  ///< without the marks
  std::vector<PlacedMark> marks;
};

/// Renders a conversation with marks around the bodies (contents without outer blanks) of the assistant's messages, to see where the
/// template puts them. Refers to its arguments, which must outlive it.
class MarkedRendering {
 public:
  /// The marks around bodies are joined by some at which templates of reasoning models cut: right behind the tags of a thought (kAtTags),
  /// or behind the line breaks that follow them. The others leave empty messages alone; the last two mark one end.
  enum class Where { kAtTags, kEverywhere, kInText, kBehindText, kBeforeText };
  enum class Blanks { kKept, kWithoutLead, kWithoutTrail };

  MarkedRendering(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& today, Where where);

  MarkedText render(Blanks blanks);

 private:
  void put(std::string& content, Mark mark);
  std::string with_marks(size_t index, Blanks blanks);

  const Tokenizer& tokenizer_;
  std::span<const Message> messages_;
  const std::string& today_;
  Where where_;
  std::vector<char32_t> taken_;                   ///< private-use characters that the messages hold themselves
  std::vector<std::pair<char32_t, Mark>> marks_;  ///< in use, ascending
};

}  // namespace multimeditron
