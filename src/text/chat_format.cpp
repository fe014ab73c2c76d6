#include "text/chat_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "text/utf8.h"

namespace multimeditron {
namespace {

/// How a family of models delimits its turns.
struct Family {
  struct Turns {
    std::vector<std::string> openings;  ///< of turns that the rule `original` does not learn
    std::string end;
  };
  std::vector<std::string> control;  ///< each must be one token: else a delimiter would be searched that never occurs, and all be learnt
  std::string user_opening, assistant_end;
  std::vector<Turns> masked;
};

constexpr TokenizerType kKnown[] = {TokenizerType::kLlama, TokenizerType::kApertus, TokenizerType::kQwen3};

/// The tags of Apertus under the names that this tokenizer has: <|user_start|> or, in older ones, <SPECIAL_65>.
std::string apertus_tag(const Tokenizer& tokenizer, const std::string& name, int number) {
  std::string modern = fmt::format("<|{}|>", name), old = fmt::format("<SPECIAL_{}>", number);
  return tokenizer.token_id(modern) ? modern : old;
}

Family family_of(const Tokenizer& tokenizer, TokenizerType type) {
  switch (type) {
    case TokenizerType::kLlama: {
      const std::string system = "<|start_header_id|>system<|end_header_id|>", user = "<|start_header_id|>user<|end_header_id|>";
      return {{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}, user, "<|eot_id|>", {{{system, user}, "<|eot_id|>"}}};
    }
    case TokenizerType::kQwen3:
      return {
          {"<|im_start|>", "<|im_end|>"}, "<|im_start|>user", "<|im_end|>", {{{"<|im_start|>system", "<|im_start|>user"}, "<|im_end|>\n"}}};
    case TokenizerType::kApertus: {
      const auto tag = [&](const char* name, int number) { return apertus_tag(tokenizer, name, number); };
      const std::string user = tag("user_start", 65), user_end = tag("user_end", 66);
      return {{user, user_end},
              user,
              tag("assistant_end", 68),
              {{{tag("system_start", 61)}, tag("system_end", 62)},
               {{tag("developer_start", 63)}, tag("developer_end", 64)},
               {{user}, user_end}}};
    }
    case TokenizerType::kAuto:
      break;
  }
  return {};
}

const char* name_of(TokenizerType type) {
  switch (type) {
    case TokenizerType::kLlama:
      return "llama";
    case TokenizerType::kApertus:
      return "apertus";
    case TokenizerType::kQwen3:
      return "qwen3";
    case TokenizerType::kAuto:
      break;
  }
  return "auto";
}

std::optional<std::string> lacking_token(const Tokenizer& tokenizer, const Family& family) {
  for (const std::string& token : family.control)
    if (tokenizer.encode(token).size() != 1) return token;
  return std::nullopt;
}

constexpr const char* kQuestion = "zq1";
constexpr const char* kAnswer = "za1";
constexpr const char* kSecondQuestion = "zq2";
constexpr const char* kSecondAnswer = "za2";

/// Small conversations as the template writes them; empty where it refuses one.
struct Probe {
  std::string prompt;    ///< a question and the generation prompt
  std::string exchange;  ///< a question and its answer
  std::string two;       ///< two exchanges

  Probe(const Tokenizer& tokenizer, const std::string& today) {
    const std::vector<Message> messages{
        {"user", kQuestion}, {"assistant", kAnswer}, {"user", kSecondQuestion}, {"assistant", kSecondAnswer}};
    const auto render = [&](size_t count, bool add_generation_prompt) {
      try {
        return tokenizer.apply_chat_template(std::span(messages).first(count), add_generation_prompt, today);
      } catch (const UserError&) {
        return std::string();
      }
    };
    prompt = render(1, true);
    exchange = render(2, false);
    two = render(4, false);
  }
};

/// What stands between `before` and `after` in `text` (to its end where `after` is empty); nothing where one of them is missing.
std::optional<std::string> between(const std::string& text, std::string_view before, std::string_view after) {
  const size_t start = text.find(before);
  if (start == std::string::npos) return std::nullopt;
  const size_t from = start + before.size(), end = after.empty() ? text.size() : text.find(after, from);
  if (end == std::string::npos) return std::nullopt;
  return text.substr(from, end - from);
}

/// The added token with which `text` begins, blanks passed over.
std::optional<std::string> leading_token(const Tokenizer& tokenizer, std::string_view text) {
  text.remove_prefix(skip_blanks(text, 0));
  const AddedToken* longest = nullptr;
  for (const AddedToken& token : tokenizer.added_tokens())
    if (!token.content.empty() && text.starts_with(token.content) && (!longest || token.content.size() > longest->content.size()))
      longest = &token;
  if (!longest) return std::nullopt;
  return longest->content;
}

size_t count_added_tokens(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<AddedToken>& added = tokenizer.added_tokens();
  const std::vector<int64_t> ids = tokenizer.encode(text);
  return static_cast<size_t>(std::count_if(ids.begin(), ids.end(), [&](int64_t id) {
    return std::any_of(added.begin(), added.end(), [id](const auto& a) { return a.id == id; });
  }));
}

/// The tokens that close an answer: the first one behind the conversation's last answer, and the first behind an answer that another
/// question follows, unless that one opens the question's turn.
std::vector<std::string> end_tags_of(const Tokenizer& tokenizer, const Probe& probe) {
  std::vector<std::string> tags;
  const auto tail = between(probe.exchange, kAnswer, "");
  const auto last = tail ? leading_token(tokenizer, *tail) : std::nullopt;
  if (last) tags.push_back(*last);
  const auto gap = between(probe.two, kAnswer, kSecondQuestion);
  const auto inner = gap ? leading_token(tokenizer, *gap) : std::nullopt;
  if (inner && inner != last) {
    // Where nothing but what stands before every question follows the answer, its first token may be the question's own.
    const bool is_all_header = probe.two.substr(0, probe.two.find(kQuestion)).ends_with(*gap);
    if (!is_all_header || (last && count_added_tokens(tokenizer, *gap) > 1)) tags.push_back(*inner);
  }
  return tags;
}

std::string answer_lead_of(const Probe& probe) {
  const auto prompt = between(probe.prompt, kQuestion, ""), header = between(probe.exchange, kQuestion, kAnswer);
  if (!prompt || !header || !header->starts_with(*prompt)) return {};
  const std::string rest = header->substr(prompt->size());
  return split_blanks(rest).body.empty() ? rest : std::string();
}

/// Adds what stands in angle brackets, or as capitals in square ones, without blanks.
void collect_tags(const std::string& text, std::set<std::string>& tags) {
  const auto is_inside_square = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_' || c == '/'; };
  for (size_t start = 0; start < text.size(); ++start) {
    if (text[start] != '<' && text[start] != '[') continue;
    const bool is_square = text[start] == '[';
    size_t end = start + 1;
    while (!is_square && end < text.size() && text[end] == '<') ++end;  // <<SYS>>
    while (end < text.size() && (is_square ? is_inside_square(text[end]) : text[end] != '>' && text[end] != '<' && text[end] > ' ')) ++end;
    if (end == text.size() || text[end] != (is_square ? ']' : '>') || end == start + 1) continue;
    while (!is_square && end + 1 < text.size() && text[end + 1] == '>') ++end;
    tags.insert(text.substr(start, end + 1 - start));
    start = end;
  }
}

/// Whether the tokenizer has the family's delimiters and the template writes them. A template that refuses the probe is not judged.
bool fits(const Tokenizer& tokenizer, const Family& family, const Probe& probe) {
  return !lacking_token(tokenizer, family) && (probe.exchange.empty() || probe.exchange.find(family.user_opening) != std::string::npos);
}

std::vector<TokenizerType> fitting_types(const Tokenizer& tokenizer, const Probe& probe) {
  std::vector<TokenizerType> types;
  for (const TokenizerType type : kKnown)
    if (fits(tokenizer, family_of(tokenizer, type), probe)) types.push_back(type);
  return types;
}

std::string advice(const std::vector<TokenizerType>& fitting) {
  if (fitting.size() == 1) return fmt::format("set `tokenizer_type: {}`", name_of(fitting.front()));
  return "set `tokenizer_type` to the family of base_llm (llama, apertus, qwen3), or `tokenizer_type: auto` with `label_mask: assistant`";
}

/// Throws where the tokenizer lacks the declared delimiters; returns what is wrong where the template does not write them.
std::optional<UserError> check_declared(const Tokenizer& tokenizer, TokenizerType type, const Family& family, const Probe& probe) {
  if (const auto lacking = lacking_token(tokenizer, family))
    throw UserError(fmt::format("the tokenizer is not one of tokenizer_type {}", name_of(type)),
                    {.where = tokenizer.folder().string(),
                     .found = fmt::format("no token {}", *lacking),
                     .fix = advice(fitting_types(tokenizer, probe))});
  if (fits(tokenizer, family, probe)) return std::nullopt;
  return UserError(fmt::format("the chat template does not write the turns of tokenizer_type {}", name_of(type)),
                   {.where = tokenizer.folder().string(),
                    .found = fmt::format("no {} before a question", family.user_opening),
                    .fix = advice(fitting_types(tokenizer, probe))});
}

/// The family whose turns the template writes, for the rule `original`.
Family family_found(const Tokenizer& tokenizer, const Probe& probe) {
  const std::vector<TokenizerType> fitting = fitting_types(tokenizer, probe);
  if (fitting.size() == 1) return family_of(tokenizer, fitting.front());
  throw UserError(
      "`label_mask: original` does not know the delimiters of this chat template",
      {.where = tokenizer.folder().string(),
       .found = fitting.empty() ? "the turns of none of: llama, apertus, qwen3" : "the turns of several of: llama, apertus, qwen3",
       .fix = fitting.empty() ? "set `label_mask: assistant`, which finds the answers in any template"
                              : "set `tokenizer_type` to one of them, or `label_mask: assistant`"});
}

}  // namespace

ChatFormat find_chat_format(const Tokenizer& tokenizer, TokenizerType type, LabelMask mask, const std::string& today) {
  if (!tokenizer.has_chat_template()) return {};
  const Probe probe(tokenizer, today);
  Family family = family_of(tokenizer, type);
  ChatFormat format;
  if (type != TokenizerType::kAuto)
    format.mismatch = check_declared(tokenizer, type, family, probe);
  else if (mask == LabelMask::kOriginal)
    family = family_found(tokenizer, probe);

  for (const Family::Turns& turns : family.masked) {
    ChatFormat::MaskedTurns& masked = format.masked_turns.emplace_back();
    for (const std::string& opening : turns.openings) masked.openings.push_back(tokenizer.encode(opening));
    masked.end = tokenizer.encode(turns.end);
  }
  format.end_tags = end_tags_of(tokenizer, probe);
  if (!family.assistant_end.empty() && std::ranges::find(format.end_tags, family.assistant_end) == format.end_tags.end())
    format.end_tags.push_back(family.assistant_end);
  format.answer_lead = answer_lead_of(probe);
  return format;
}

std::vector<std::string> chat_tags(const Tokenizer& tokenizer) {
  if (!tokenizer.has_chat_template()) return {};
  const Probe probe(tokenizer, {});
  std::set<std::string> tags;
  for (const std::string* text : {&probe.prompt, &probe.exchange, &probe.two}) collect_tags(*text, tags);
  return {tags.begin(), tags.end()};
}

}  // namespace multimeditron
