#include "text/label_mask.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace multimeditron {
namespace {

/// How a family of models marks a turn.
struct TurnTags {
  std::vector<std::string> openings;  ///< of turns that are not learnt
  std::string end;
};

const char* name_of(TokenizerType type) {
  switch (type) {
    case TokenizerType::kLlama:
      return "llama";
    case TokenizerType::kQwen3:
      return "qwen3";
    case TokenizerType::kApertus:
      return "apertus";
  }
  return "";
}

[[noreturn]] void refuse_tokenizer(const Tokenizer& tokenizer, TokenizerType type, const std::string& lacking) {
  throw UserError(fmt::format("the tokenizer is not one of type {}", name_of(type)),
                  {.where = tokenizer.folder().string(),
                   .found = fmt::format("no token {}", lacking),
                   .fix = "set `tokenizer_type` to the family of base_llm: llama, apertus or qwen3"});
}

/// The turns of Apertus under the names that this tokenizer has: <|user_start|> or, in older ones, <SPECIAL_65>.
std::string apertus_tag(const Tokenizer& tokenizer, const std::string& name, int number) {
  std::string modern = fmt::format("<|{}|>", name), old = fmt::format("<SPECIAL_{}>", number);
  return tokenizer.token_id(modern) ? modern : old;
}

/// Openings with the end of their turns.
std::vector<TurnTags> masked_turns(const Tokenizer& tokenizer, TokenizerType type) {
  switch (type) {
    case TokenizerType::kLlama:
      return {{{"<|start_header_id|>system<|end_header_id|>", "<|start_header_id|>user<|end_header_id|>"}, "<|eot_id|>"}};
    case TokenizerType::kQwen3:
      return {{{"<|im_start|>system", "<|im_start|>user"}, "<|im_end|>\n"}};
    case TokenizerType::kApertus:
      return {{{apertus_tag(tokenizer, "system_start", 61)}, apertus_tag(tokenizer, "system_end", 62)},
              {{apertus_tag(tokenizer, "developer_start", 63)}, apertus_tag(tokenizer, "developer_end", 64)},
              {{apertus_tag(tokenizer, "user_start", 65)}, apertus_tag(tokenizer, "user_end", 66)}};
  }
  return {};
}

std::string assistant_end_tag(const Tokenizer& tokenizer, TokenizerType type) {
  switch (type) {
    case TokenizerType::kLlama:
      return "<|eot_id|>";
    case TokenizerType::kQwen3:
      return "<|im_end|>";
    case TokenizerType::kApertus:
      return apertus_tag(tokenizer, "assistant_end", 68);
  }
  return {};
}

/// A control token must be one id: else a delimiter would be searched that never occurs, and everything would be learnt.
void require_control_tokens(const Tokenizer& tokenizer, TokenizerType type) {
  std::vector<std::string> needed;
  switch (type) {
    case TokenizerType::kLlama:
      needed = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"};
      break;
    case TokenizerType::kQwen3:
      needed = {"<|im_start|>", "<|im_end|>"};
      break;
    case TokenizerType::kApertus:
      needed = {apertus_tag(tokenizer, "user_start", 65), apertus_tag(tokenizer, "user_end", 66)};
      break;
  }
  for (const std::string& token : needed)
    if (tokenizer.encode(token).size() != 1) refuse_tokenizer(tokenizer, type, token);
}

}  // namespace

std::vector<bool> learnt_by_original_rule(const Tokenizer& tokenizer, std::span<const int64_t> ids, TokenizerType type) {
  require_control_tokens(tokenizer, type);
  std::vector<bool> learnt(ids.size(), true);
  for (const TurnTags& turn : masked_turns(tokenizer, type)) {
    const std::vector<int64_t> end_tag = tokenizer.encode(turn.end);
    for (const std::string& opening : turn.openings) {
      const std::vector<int64_t> open_tag = tokenizer.encode(opening);
      for (auto start = ids.begin();; ++start) {
        start = std::search(start, ids.end(), open_tag.begin(), open_tag.end());
        if (start == ids.end()) break;
        // a conversation may end with Qwen's end tag alone: then that counts
        auto end = std::search(start, ids.end(), end_tag.begin(), end_tag.end());
        size_t end_size = end_tag.size();
        if (end == ids.end() && end_size > 1) {
          end = std::find(start, ids.end(), end_tag.front());
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

// ---- UTF-8 ----

size_t size_of_character(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/// The character at `at` of valid UTF-8.
char32_t character_at(std::string_view text, size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t size = std::min(size_of_character(lead), text.size() - at);
  char32_t character = size == 1 ? lead : lead & (0xff >> (size + 1));
  for (size_t i = 1; i < size; ++i) character = character << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
  return character;
}

void append_character(std::string& text, char32_t character) {
  text += static_cast<char>(0xf0 | character >> 18);
  for (int shift : {12, 6, 0}) text += static_cast<char>(0x80 | (character >> shift & 0x3f));
}

/// What Python's str.strip() takes away.
bool is_blank(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

/// A content as blanks, body, blanks.
struct Content {
  std::string_view lead, body, trail;
};

Content split_blanks(std::string_view content) {
  size_t start = 0, end = 0;
  bool seen = false;
  for (size_t at = 0; at < content.size(); at += size_of_character(static_cast<unsigned char>(content[at]))) {
    if (is_blank(character_at(content, at))) continue;
    if (!seen) start = at;
    seen = true;
    end = std::min(content.size(), at + size_of_character(static_cast<unsigned char>(content[at])));
  }
  if (!seen) return {content, {}, {}};
  return {content.substr(0, start), content.substr(start, end - start), content.substr(end)};
}

// ---- Marks: private-use characters around a message's body that a template carries along ----

constexpr char32_t kFirstMark = 0x100000, kLastMark = 0x10fffd;

/// Where a mark was put: around the body, or behind a tag at which templates of reasoning models cut.
enum class MarkKind { kBodyStart, kInnerStart, kBodyEnd };

struct Mark {
  size_t message = 0;
  MarkKind kind = MarkKind::kBodyStart;
};

/// A mark in a rendered text: its place once all marks are taken out.
struct PlacedMark {
  Mark mark;
  size_t at = 0;
};

enum class Blanks { kKept, kWithoutLead, kWithoutTrail };

class MarkedRendering {
 public:
  MarkedRendering(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& today)
      : tokenizer_(tokenizer), messages_(messages), today_(today) {
    for (const Message& message : messages)
      for (size_t at = 0; at < message.content.size(); at += size_of_character(static_cast<unsigned char>(message.content[at])))
        if (char32_t c = character_at(message.content, at); c >= kFirstMark) taken_.push_back(c);
  }

  /// Renders with marks in the assistant's messages. Returns the text without them and where they were.
  std::pair<std::string, std::vector<PlacedMark>> render(Blanks blanks) {
    marks_.clear();
    std::vector<Message> marked(messages_.begin(), messages_.end());
    for (size_t i = 0; i < marked.size(); ++i)
      if (marked[i].role == "assistant") marked[i].content = with_marks(i, blanks);
    const std::string rendered = tokenizer_.apply_chat_template(marked, false, today_);

    std::string text;
    std::vector<PlacedMark> placed;
    for (size_t at = 0; at < rendered.size();) {
      const size_t size = size_of_character(static_cast<unsigned char>(rendered[at]));
      const auto mark = std::find(marks_.begin(), marks_.end(), character_at(rendered, at));
      if (size == 4 && mark != marks_.end())
        placed.push_back({meanings_[static_cast<size_t>(mark - marks_.begin())], text.size()});
      else
        text.append(rendered, at, size);
      at += size;
    }
    return {text, placed};
  }

 private:
  void put(std::string& content, Mark mark) {
    char32_t next = marks_.empty() ? kFirstMark : marks_.back() + 1;
    while (std::find(taken_.begin(), taken_.end(), next) != taken_.end()) ++next;
    if (next > kLastMark) throw UserError("the conversation has too many turns for `label_mask: assistant`");
    meanings_.resize(marks_.size());
    meanings_.push_back(mark);
    marks_.push_back(next);
    append_character(content, next);
  }

  std::string with_marks(size_t index, Blanks blanks) {
    const Content content = split_blanks(messages_[index].content);
    std::string marked;
    if (blanks != Blanks::kWithoutLead) marked = content.lead;
    put(marked, {index, MarkKind::kBodyStart});
    // Templates of reasoning models keep only what follows these tags and their line breaks.
    size_t at = 0;
    while (at < content.body.size()) {
      const size_t tag = content.body.find("think>", at);
      if (tag == std::string_view::npos) break;
      size_t next = tag + 6;
      while (next < content.body.size() && content.body[next] == '\n') ++next;
      marked += content.body.substr(at, next - at);
      if (next < content.body.size()) put(marked, {index, MarkKind::kInnerStart});
      at = next;
    }
    marked += content.body.substr(at);
    put(marked, {index, MarkKind::kBodyEnd});
    if (blanks != Blanks::kWithoutTrail) marked += content.trail;
    return marked;
  }

  const Tokenizer& tokenizer_;
  std::span<const Message> messages_;
  const std::string& today_;
  std::vector<char32_t> taken_;  ///< private-use characters that the messages hold themselves
  std::vector<char32_t> marks_;  ///< in use, ascending
  std::vector<Mark> meanings_;   ///< of marks_
};

/// Distance from the mark before (or the text's start) to the mark of that message and kind.
std::optional<size_t> gap_before(const std::vector<PlacedMark>& marks, size_t message, MarkKind kind) {
  for (size_t i = 0; i < marks.size(); ++i)
    if (marks[i].mark.message == message && marks[i].mark.kind == kind) return marks[i].at - (i == 0 ? 0 : marks[i - 1].at);
  return std::nullopt;
}

/// Distance from the mark of that message and kind to the next mark (or the text's end).
std::optional<size_t> gap_after(const std::vector<PlacedMark>& marks, size_t text_size, size_t message, MarkKind kind) {
  for (size_t i = 0; i < marks.size(); ++i)
    if (marks[i].mark.message == message && marks[i].mark.kind == kind)
      return (i + 1 == marks.size() ? text_size : marks[i + 1].at) - marks[i].at;
  return std::nullopt;
}

/// The spans of the assistant's texts by marks; nothing where the marks change what the template writes.
std::optional<std::vector<TextSpan>> spans_by_marks(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                                    const std::string& today) {
  MarkedRendering rendering(tokenizer, messages, today);
  const auto [unmarked, marks] = rendering.render(Blanks::kKept);
  if (unmarked != text) return std::nullopt;

  bool any_lead = false, any_trail = false;
  for (const Message& message : messages) {
    if (message.role != "assistant") continue;
    const Content content = split_blanks(message.content);
    any_lead |= !content.lead.empty();
    any_trail |= !content.trail.empty();
  }
  // How many of a content's outer blanks the template left: by how much the text shrinks without them.
  std::vector<PlacedMark> without_lead, without_trail;
  size_t size_without_trail = 0;
  if (any_lead) without_lead = rendering.render(Blanks::kWithoutLead).second;
  if (any_trail) {
    auto [shorter, placed] = rendering.render(Blanks::kWithoutTrail);
    without_trail = std::move(placed);
    size_without_trail = shorter.size();
  }

  std::vector<TextSpan> spans;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    std::optional<size_t> start, end;
    bool from_the_first_word = false;
    for (const PlacedMark& placed : marks) {
      if (placed.mark.message != i) continue;
      if (placed.mark.kind == MarkKind::kBodyEnd) {
        if (end) return std::nullopt;  // written twice
        end = placed.at;
      } else if (!start) {
        start = placed.at;
        from_the_first_word = placed.mark.kind == MarkKind::kBodyStart;
      }
    }
    if (!start || !end || *start > *end) continue;  // the template leaves this message out

    const Content content = split_blanks(messages[i].content);
    if (from_the_first_word && !content.lead.empty()) {
      const auto with = gap_before(marks, i, MarkKind::kBodyStart), without = gap_before(without_lead, i, MarkKind::kBodyStart);
      if (with && without && *with > *without && *with - *without <= content.lead.size()) *start -= *with - *without;
    }
    if (!content.trail.empty()) {
      const auto with = gap_after(marks, text.size(), i, MarkKind::kBodyEnd);
      const auto without = gap_after(without_trail, size_without_trail, i, MarkKind::kBodyEnd);
      if (with && without && *with > *without && *with - *without <= content.trail.size()) *end += *with - *without;
    }
    spans.push_back({*start, *end});
  }
  return spans;
}

/// The same from renderings of the conversation's beginnings: a turn is what it adds to the text, its header what the generation prompt
/// is. Nothing where the template rewrites earlier turns.
std::optional<std::vector<TextSpan>> spans_by_prefixes(const Tokenizer& tokenizer, std::span<const Message> messages,
                                                       const std::string& text, const std::string& end_tag, const std::string& today) {
  std::vector<TextSpan> spans;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant" || i == 0) continue;
    const std::string before = tokenizer.apply_chat_template(messages.first(i), true, today);
    const std::string after = tokenizer.apply_chat_template(messages.first(i + 1), false, today);
    if (!text.starts_with(after) || !after.starts_with(before)) return std::nullopt;
    const size_t end = after.rfind(end_tag);
    if (end == std::string::npos || end < before.size()) return std::nullopt;
    spans.push_back({before.size(), end});
  }
  return spans;
}

}  // namespace

std::vector<TextSpan> assistant_spans(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& text,
                                      TokenizerType type, const std::string& today) {
  require_control_tokens(tokenizer, type);
  const std::string end_tag = assistant_end_tag(tokenizer, type);
  auto texts = spans_by_marks(tokenizer, messages, text, today);
  if (!texts) texts = spans_by_prefixes(tokenizer, messages, text, end_tag, today);
  if (!texts)
    throw UserError("the assistant's turns cannot be told from the chat template",
                    {.where = tokenizer.folder().string(),
                     .found = "the template writes a turn differently once others follow",
                     .fix = "use `label_mask: original`, or a template that writes each turn for itself"});
  std::vector<TextSpan> spans;
  for (const TextSpan& span : *texts) {
    spans.push_back(span);
    // the end tag stands behind the text, or behind blanks of the template
    size_t at = span.end;
    while (at < text.size() && is_blank(character_at(text, at))) at += size_of_character(static_cast<unsigned char>(text[at]));
    if (text.compare(at, end_tag.size(), end_tag) != 0) continue;
    if (at == span.end)
      spans.back().end += end_tag.size();
    else
      spans.push_back({at, at + end_tag.size()});
  }
  return spans;
}

}  // namespace multimeditron
