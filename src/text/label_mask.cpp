#include "text/label_mask.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/marked_rendering.h"
#include "text/utf8.h"

namespace multimeditron {
namespace {

using Spans = std::vector<TextSpan>;

bool is_answer(const Message& message) {
  return message.role == "assistant";
}

}  // namespace

std::vector<bool> learnt_by_original_rule(std::span<const int64_t> ids, const ChatFormat& format) {
  std::vector<bool> learnt(ids.size(), true);
  for (const ChatFormat::MaskedTurns& turns : format.masked_turns) {
    for (const std::vector<int64_t>& opening : turns.openings) {
      for (auto start = ids.begin();; ++start) {
        start = std::search(start, ids.end(), opening.begin(), opening.end());
        if (start == ids.end()) break;
        // a conversation may end with Qwen's end tag alone: then that counts
        auto end = std::search(start, ids.end(), turns.end.begin(), turns.end.end());
        size_t end_size = turns.end.size();
        if (end == ids.end() && end_size > 1) {
          end = std::find(start, ids.end(), turns.end.front());
          end_size = 1;
        }
        const auto stop = end == ids.end() ? end : end + static_cast<ptrdiff_t>(end_size);
        std::fill(learnt.begin() + (start - ids.begin()), learnt.begin() + (stop - ids.begin()), false);
      }
    }
  }
  return learnt;
}

namespace {

/// Where the part of `body` that ends at byte `end` of `text` begins there, not before `first`: the template may have cut its beginning.
/// Blanks at the beginning are left to the header, which ends with some, too.
size_t start_by_content(std::string_view text, size_t first, size_t end, std::string_view body) {
  size_t count = 0;
  while (count < body.size() && end - count > first && text[end - count - 1] == body[body.size() - count - 1]) ++count;
  size_t start = end - count;
  if (count == body.size()) return start;
  while (start < end && is_continuation(text[start])) ++start;
  return std::min(skip_blanks(text, start), end);
}

/// Where the part of `body` that begins at byte `start` of `text` ends there, at `last` at the latest.
size_t end_by_content(std::string_view text, size_t start, size_t last, std::string_view body) {
  size_t count = 0;
  while (count < body.size() && start + count < last && text[start + count] == body[count]) ++count;
  while (count > 0 && start + count < text.size() && is_continuation(text[start + count])) --count;
  return start + count;
}

/// The beginning of `head` where the text before byte `at` is `head` but for blanks; else `at`. A template that takes a thought apart and
/// puts it together again writes the message's own tags.
size_t start_with_head(std::string_view text, size_t first, size_t at, std::string_view head) {
  size_t place = at, left = head.size();
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (left > 0) {
    if (is_space(head[left - 1])) {
      --left;
    } else if (place > first && is_space(text[place - 1])) {
      --place;
    } else if (place > first && text[place - 1] == head[left - 1]) {
      --place;
      --left;
    } else {
      return at;
    }
  }
  return place;
}

/// Distance from the mark before (or the text's start) to the mark of that message and kind.
std::optional<size_t> gap_before(const std::vector<PlacedMark>& marks, size_t message, Mark::Kind kind) {
  for (size_t i = 0; i < marks.size(); ++i)
    if (marks[i].mark.message == message && marks[i].mark.kind == kind) return marks[i].at - (i == 0 ? 0 : marks[i - 1].at);
  return std::nullopt;
}

/// Distance from the mark of that message and kind to the next mark (or the text's end).
std::optional<size_t> gap_after(const MarkedText& marked, size_t message, Mark::Kind kind) {
  const std::vector<PlacedMark>& marks = marked.marks;
  for (size_t i = 0; i < marks.size(); ++i)
    if (marks[i].mark.message == message && marks[i].mark.kind == kind)
      return (i + 1 == marks.size() ? marked.text.size() : marks[i + 1].at) - marks[i].at;
  return std::nullopt;
}

/// An assistant's turn as the rendered prefix up to it tells, where it has no text that could be marked: an empty span.
std::optional<TextSpan> empty_span(const Tokenizer& tokenizer, std::span<const Message> messages, size_t index, const std::string& text,
                                   const std::string& today) {
  if (index == 0) return std::nullopt;
  const std::string before = tokenizer.apply_chat_template(messages.first(index), true, today);
  if (!text.starts_with(before)) return std::nullopt;
  return TextSpan{before.size(), before.size()};
}

/// The spans of the assistant's texts by marks; nothing where the marks change what the template writes.
std::optional<Spans> spans_by_marks(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                    const std::string& today, MarkedRendering::Where where) {
  MarkedRendering rendering(tokenizer, messages, today, where);
  const MarkedText marked = rendering.render(MarkedRendering::Blanks::kKept);
  if (marked.text != text) return std::nullopt;

  bool any_lead = false, any_trail = false;
  for (const Message& message : messages) {
    if (!is_answer(message)) continue;
    const BlankSplit content = split_blanks(message.content);
    any_lead |= !content.lead.empty();
    any_trail |= !content.trail.empty();
  }
  // How many of a content's outer blanks the template left: by how much the text shrinks without them.
  MarkedText without_lead, without_trail;
  if (any_lead) without_lead = rendering.render(MarkedRendering::Blanks::kWithoutLead);
  if (any_trail) without_trail = rendering.render(MarkedRendering::Blanks::kWithoutTrail);

  Spans spans;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!is_answer(messages[i])) continue;
    const BlankSplit content = split_blanks(messages[i].content);
    if (content.body.empty() && where > MarkedRendering::Where::kEverywhere) {
      if (const auto span = empty_span(tokenizer, messages, i, text, today)) spans.push_back(*span);
      continue;
    }
    const PlacedMark *first = nullptr, *last = nullptr;
    size_t end_of_previous = 0, start_of_next = text.size();
    for (const PlacedMark& placed : marked.marks) {
      if (placed.mark.message != i) {
        if (!first && !last) end_of_previous = placed.at;
        if (first || last) start_of_next = std::min(start_of_next, placed.at);
      } else if (placed.mark.kind == Mark::Kind::kBodyEnd) {
        if (last) return std::nullopt;  // written twice
        last = &placed;
      } else if (!first) {
        first = &placed;
      }
    }
    if (!first && !last) continue;  // the template leaves this message out
    if (first && last && first->at > last->at) return std::nullopt;

    TextSpan span;
    span.start = first ? first->at : start_by_content(text, end_of_previous, last->at, content.body);
    span.end = last ? last->at : end_by_content(text, first->at, start_of_next, content.body.substr(first->mark.offset));
    if (first && first->mark.offset > 0)
      span.start = start_with_head(text, end_of_previous, first->at, content.body.substr(0, first->mark.offset));
    if (first && first->mark.offset == 0 && !content.lead.empty()) {
      const auto with = gap_before(marked.marks, i, first->mark.kind), without = gap_before(without_lead.marks, i, first->mark.kind);
      if (with && without && *with > *without && *with - *without <= content.lead.size()) span.start -= *with - *without;
    }
    if (last && !content.trail.empty()) {
      const auto with = gap_after(marked, i, Mark::Kind::kBodyEnd), without = gap_after(without_trail, i, Mark::Kind::kBodyEnd);
      if (with && without && *with > *without && *with - *without <= content.trail.size()) span.end += *with - *without;
    }
    spans.push_back(span);
  }
  return spans;
}

/// The same from renderings of the conversation's beginnings: a turn is what it adds to the text, its header what the generation prompt
/// is. Nothing where the template rewrites earlier turns.
std::optional<Spans> spans_by_prefixes(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                       const ChatFormat& format, const std::string& today) {
  Spans spans;
  for (size_t i = 1; i < messages.size(); ++i) {
    if (!is_answer(messages[i])) continue;
    const std::string before = tokenizer.apply_chat_template(messages.first(i), true, today);
    const std::string after = tokenizer.apply_chat_template(messages.first(i + 1), false, today);
    if (!text.starts_with(after) || !after.starts_with(before)) return std::nullopt;
    size_t end = std::string::npos;
    for (const std::string& tag : format.end_tags) {
      const size_t at = after.rfind(tag);
      if (at != std::string::npos && at >= before.size() && (end == std::string::npos || at > end)) end = at;
    }
    if (end == std::string::npos) {
      if (!format.end_tags.empty()) return std::nullopt;
      const BlankSplit answer = split_blanks(std::string_view(after).substr(before.size()));
      end = answer.body.empty() ? before.size() : after.size() - answer.trail.size();
    }
    spans.push_back({before.size(), end});
  }
  return spans;
}

/// How far the end tag behind byte `at` reaches, which may stand behind blanks of the template; and where it begins.
std::optional<TextSpan> end_tag_at(const std::string& text, size_t at, const ChatFormat& format) {
  at = skip_blanks(text, at);
  size_t size = 0;
  for (const std::string& tag : format.end_tags)
    if (tag.size() > size && text.compare(at, tag.size(), tag) == 0) size = tag.size();
  if (size == 0) return std::nullopt;
  return TextSpan{at, at + size};
}

}  // namespace

std::vector<TextSpan> assistant_spans(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                      const ChatFormat& format, const std::string& today) {
  std::optional<Spans> texts;
  // The fewer marks, the fewer templates notice them.
  for (const auto where : {MarkedRendering::Where::kAtTags, MarkedRendering::Where::kEverywhere, MarkedRendering::Where::kInText,
                           MarkedRendering::Where::kBehindText, MarkedRendering::Where::kBeforeText})
    if (!texts) texts = spans_by_marks(tokenizer, messages, text, today, where);
  if (!texts) texts = spans_by_prefixes(tokenizer, messages, text, format, today);
  if (!texts)
    throw UserError("the assistant's turns cannot be told from the chat template",
                    {.where = tokenizer.folder().string(),
                     .found = "the template writes a turn differently once others follow",
                     .fix = "use `label_mask: original`, or a template that writes each turn for itself"});
  if (texts->empty() && std::ranges::any_of(messages, is_answer))
    throw UserError("the chat template leaves the assistant's answers out",
                    {.where = tokenizer.folder().string(),
                     .found = "no text of the role assistant in what it writes",
                     .fix = "use the chat template of the model's Instruct variant"});
  Spans spans;
  for (TextSpan span : *texts) {
    const size_t lead = format.answer_lead.size();
    if (lead > 0 && span.start >= lead && text.compare(span.start - lead, lead, format.answer_lead) == 0) span.start -= lead;
    const std::optional<TextSpan> tag = end_tag_at(text, span.end, format);
    if (tag && tag->start == span.end) span.end = tag->end;
    spans.push_back(span);
    if (tag && tag->start > span.end) spans.push_back(*tag);
  }
  return spans;
}

}  // namespace multimeditron
