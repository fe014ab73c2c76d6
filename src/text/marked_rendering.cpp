#include "text/marked_rendering.h"

#include <algorithm>

#include "base/error.h"
#include "text/utf8.h"

namespace multimeditron {
namespace {

constexpr char32_t kFirstMark = 0x100000, kLastMark = 0x10fffd;

}  // namespace

MarkedRendering::MarkedRendering(const Tokenizer& tokenizer, std::span<const Message> messages, const std::string& today, Where where)
    : tokenizer_(tokenizer), messages_(messages), today_(today), where_(where) {
  for (const Message& message : messages)
    for (size_t at = 0; at < message.content.size(); at += size_of_character(static_cast<unsigned char>(message.content[at])))
      if (const char32_t c = character_at(message.content, at); c >= kFirstMark) taken_.push_back(c);
}

MarkedText MarkedRendering::render(Blanks blanks) {
  marks_.clear();
  std::vector<Message> marked(messages_.begin(), messages_.end());
  for (size_t i = 0; i < marked.size(); ++i)
    if (marked[i].role == "assistant") marked[i].content = with_marks(i, blanks);
  const std::string rendered = tokenizer_.apply_chat_template(marked, false, today_);

  MarkedText result;
  for (size_t at = 0; at < rendered.size();) {
    const size_t size = size_of_character(static_cast<unsigned char>(rendered[at]));
    const char32_t character = size == 4 ? character_at(rendered, at) : 0;
    const auto mark = std::ranges::lower_bound(marks_, character, {}, [](const auto& entry) { return entry.first; });
    if (size == 4 && mark != marks_.end() && mark->first == character)
      result.marks.push_back({mark->second, result.text.size()});
    else
      result.text.append(rendered, at, size);
    at += size;
  }
  return result;
}

void MarkedRendering::put(std::string& content, Mark mark) {
  char32_t next = marks_.empty() ? kFirstMark : marks_.back().first + 1;
  while (std::ranges::find(taken_, next) != taken_.end()) ++next;
  if (next > kLastMark) throw UserError("the conversation has too many turns for `label_mask: assistant`");
  marks_.emplace_back(next, mark);
  append_character(content, next);
}

std::string MarkedRendering::with_marks(size_t index, Blanks blanks) {
  const BlankSplit content = split_blanks(messages_[index].content);
  const bool is_marked = where_ <= Where::kEverywhere || !content.body.empty();
  const bool at_start = is_marked && where_ != Where::kBehindText, at_end = is_marked && where_ != Where::kBeforeText;
  const std::string_view body = content.body;
  std::string marked;
  if (blanks != Blanks::kWithoutLead) marked = content.lead;
  if (at_start) put(marked, {index, Mark::Kind::kBodyStart, 0});
  size_t at = 0;
  while (at_start && at_end && at < body.size()) {
    const size_t tag = body.find("think>", at);
    if (tag == std::string_view::npos) break;
    size_t next = tag + 6;
    while (where_ != Where::kAtTags && next < body.size() && body[next] == '\n') ++next;
    marked += body.substr(at, next - at);
    if (next < body.size()) put(marked, {index, Mark::Kind::kInnerStart, next});
    at = next;
  }
  marked += body.substr(at);
  if (at_end) put(marked, {index, Mark::Kind::kBodyEnd, body.size()});
  if (blanks != Blanks::kWithoutTrail) marked += content.trail;
  return marked;
}

}  // namespace multimeditron
