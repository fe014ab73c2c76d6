#include "doctor/row_examiner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/error.h"
#include "base/hash.h"
#include "base/suggest.h"
#include "data/image_loader.h"
#include "data/utf8.h"
#include "data/words.h"

namespace multimeditron {
namespace {

bool is_known(const std::string& role) {
  return std::find(known_roles().begin(), known_roles().end(), role) != known_roles().end();
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// Once a row, however many turns or images have it.
void tell(RowFacts& facts, Finding finding, std::string detail = "") {
  facts.is_bad = facts.is_bad || info(finding).is_bad;
  for (const auto& [known, its_detail] : facts.findings)
    if (known == finding) return;
  facts.findings.emplace_back(finding, std::move(detail));
}

std::string without(std::string_view text, const std::string& token) {
  std::string result;
  for (size_t at; !token.empty() && (at = text.find(token)) != std::string_view::npos; text.remove_prefix(at + token.size()))
    result += text.substr(0, at);
  return result += text;
}

int64_t occurrences(std::string_view text, const std::string& token) {
  int64_t count = 0;
  for (size_t at = 0; !token.empty() && (at = text.find(token, at)) != std::string_view::npos; at += token.size()) ++count;
  return count;
}

int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

/// Why the row at `place` cannot be read, with where in it.
std::string reason_of(const UserError& error, const std::string& place) {
  std::string_view where = error.details().where;
  if (where.starts_with(place)) where.remove_prefix(place.size());
  if (where.starts_with(", ")) where.remove_prefix(2);
  return reason_of(error) + (where.empty() ? "" : fmt::format(" ({})", where));
}

EncodedText encode_row(const Tokenizer& tokenizer, const Row& row, const PromptOptions& prompt) {
  return row.text ? encode_text(tokenizer, *row.text, prompt) : encode_conversation(tokenizer, row.conversations, prompt);
}

}  // namespace

std::string load_bytes(const Attachment& attachment, const RowRules& rules, const std::filesystem::path& folder) {
  if (rules.has_loaders) return load_attachment(attachment, rules.loaders, folder);
  const LoaderSpec whatever{.loader_type = "raw-image", .modality_type = attachment.type, .base_path = {}};
  return load_attachment(attachment, {&whatever, 1}, folder);
}

RowExaminer::RowExaminer(const Dataset& dataset, uint32_t data_set, const RowRules& rules, ImageBook& book)
    : dataset_(dataset), data_set_(data_set), rules_(rules), book_(book) {}

RowFacts RowExaminer::examine(int64_t index) const {
  RowFacts facts;
  Row row;
  try {
    row = dataset_.row(index);
  } catch (const UserError& error) {
    tell(facts, Finding::kUnreadableRow, reason_of(error, dataset_.place(index)));
    return facts;
  }
  examine_text(row, facts);
  examine_images(row, index, facts);
  return facts;
}

void RowExaminer::examine_turns(const Row& row, RowFacts& facts) const {
  bool has_answer = false;
  std::string odd;
  for (const Message& message : row.conversations) {
    facts.roles.push_back(message.role);
    has_answer = has_answer || message.role == "assistant";
    if (!is_known(message.role) && odd.empty()) {
      // A column of another kind by mistake must not show up in messages.
      const auto near = nearest(message.role, known_roles());
      odd = near ? fmt::format("turn {}: perhaps `{}` is meant", facts.roles.size(), *near)
                 : fmt::format("turn {} has another role", facts.roles.size());
    }
    if (is_blank(without(message.content, rules_.prompt.attachment_token)) &&
        (message.role == "assistant" || occurrences(message.content, rules_.prompt.attachment_token) == 0))
      tell(facts, Finding::kEmptyTurn, fmt::format("turn {}", facts.roles.size()));
  }
  facts.turns = static_cast<int64_t>(row.conversations.size());
  if (!has_answer && rules_.use == RowUse::kSamples) {
    if (odd.empty()) {
      tell(facts, Finding::kNoAnswer, fmt::format("{} turn{}", facts.turns, facts.turns == 1 ? "" : "s"));
    } else {
      tell(facts, Finding::kUnknownRoles, odd);
    }
  } else if (!odd.empty()) {
    tell(facts, Finding::kOddRole, odd);
  }
}

void RowExaminer::examine_text(const Row& row, RowFacts& facts) const {
  bool is_valid = !row.text || is_utf8(*row.text);
  for (const Message& message : row.conversations) is_valid = is_valid && is_utf8(message.content) && is_utf8(message.role);
  if (!is_valid) return tell(facts, Finding::kNotUtf8);

  const std::string& token = rules_.prompt.attachment_token;
  if (row.text) facts.text = without(*row.text, token);
  for (const Message& message : row.conversations)
    if (message.role != "system") facts.text += without(message.content, token) + "\n";

  if (rules_.use == RowUse::kPairs) {
    const auto answer =
        std::find_if(row.conversations.begin(), row.conversations.end(), [](const Message& m) { return m.role == "assistant"; });
    const std::string caption = row.text ? *row.text : answer == row.conversations.end() ? "" : answer->content;
    if (is_blank(without(caption, token))) tell(facts, Finding::kNoCaption);
    facts.length = characters(caption);
    if (!row.text) examine_turns(row, facts);
    return;
  }
  if (rules_.use == RowUse::kImages) return;

  if (row.conversations.empty() == !row.text.has_value()) return tell(facts, row.text ? Finding::kTwoContents : Finding::kNoContent);
  if (!row.text) examine_turns(row, facts);
  if (row.text && is_blank(facts.text)) tell(facts, Finding::kEmptyTurn, "the text");
  if (rules_.tokenizer != nullptr) {
    if (!facts.is_bad) encode(row, facts);
    return;
  }
  int64_t tokens = row.text ? occurrences(*row.text, token) : 0;
  if (row.text) facts.length = characters(*row.text);
  for (const Message& message : row.conversations) {
    tokens += occurrences(message.content, token);
    facts.length += characters(message.content);
  }
  if (tokens != std::ssize(row.modalities))
    tell(facts, Finding::kPlaceholders, fmt::format("{} in the text, {} in `modalities`", tokens, row.modalities.size()));
}

void RowExaminer::encode(const Row& row, RowFacts& facts) const {
  PromptOptions whole = rules_.prompt;
  whole.max_sequence_length.reset();
  try {
    EncodedText encoded = encode_row(*rules_.tokenizer, row, whole);
    const auto num_tokens = std::ssize(encoded.image_ranges);
    if (num_tokens != std::ssize(row.modalities))
      tell(facts, Finding::kPlaceholders, fmt::format("{} in the text, {} in `modalities`", num_tokens, row.modalities.size()));
    const auto length = std::ssize(encoded.input_ids);
    if (rules_.prompt.max_sequence_length && length > *rules_.prompt.max_sequence_length) {
      try {
        encoded = encode_row(*rules_.tokenizer, row, rules_.prompt);
      } catch (const UserError&) {
        return tell(facts, Finding::kTooLong, fmt::format("{} tokens", length));
      }
      facts.lost_tokens = length - std::ssize(encoded.input_ids);
      facts.lost_turns = encoded.dropped_turns;
      facts.lost_images = encoded.dropped_images;
      tell(facts, Finding::kTruncated,
           fmt::format("{} of {} tokens, {} turns, {} images", facts.lost_tokens, length, facts.lost_turns, facts.lost_images));
    }
    facts.length = std::ssize(encoded.input_ids);
    facts.learnt_tokens = encoded.learnt_tokens;
    if (rules_.pack_length && facts.length > *rules_.pack_length)
      tell(facts, Finding::kTooLongForPack, fmt::format("{} tokens; a pack has {}", facts.length, *rules_.pack_length));
    if (facts.learnt_tokens == 0) tell(facts, Finding::kNothingLearnt);
  } catch (const UserError& error) {
    tell(facts, Finding::kRefusedText, error.message());
  }
}

void RowExaminer::examine_images(const Row& row, int64_t index, RowFacts& facts) const {
  auto used = std::ssize(row.modalities);
  if (rules_.use == RowUse::kPairs && used != 1) tell(facts, Finding::kNumImages, fmt::format("{} in `modalities`", used));
  if (rules_.use == RowUse::kImages) {
    if (used == 0) tell(facts, Finding::kNoImage);
    used = std::min<ptrdiff_t>(used, 1);
  }
  // Those behind a cut are not loaded.
  if (facts.lost_images <= used) used -= facts.lost_images;

  Sha256 content;
  const auto hash = [&](std::string_view part) {
    const uint64_t size = part.size();
    content.update(std::as_bytes(std::span(&size, 1)));
    content.update(std::as_bytes(std::span(part.data(), part.size())));
  };
  if (row.text) hash(*row.text);
  for (const Message& message : row.conversations) {
    hash(message.role);
    hash(message.content);
  }
  const std::filesystem::path folder = used > 0 ? dataset_.folder(index) : std::filesystem::path();
  for (ptrdiff_t item = 0; item < std::ssize(row.modalities); ++item) {
    const Attachment& attachment = row.modalities[static_cast<size_t>(item)];
    if (item >= used) {
      hash(attachment.bytes.empty() ? attachment.path : attachment.bytes);
      continue;
    }
    const std::string which = fmt::format("image {}", item + 1);
    std::string bytes;
    try {
      bytes = load_bytes(attachment, rules_, folder);
    } catch (const UserError& error) {
      const auto takes_it = [&](const LoaderSpec& loader) { return loader.modality_type == attachment.type; };
      const bool has_loader = !rules_.has_loaders || std::any_of(rules_.loaders.begin(), rules_.loaders.end(), takes_it);
      const bool is_missing = error.message() == kImageIsMissing;
      tell(facts,
           is_missing   ? Finding::kMissingImage
           : has_loader ? Finding::kUndecodableImage
                        : Finding::kNoLoader,
           is_missing   ? fmt::format("{}: {}", which, error.details().found)
           : has_loader ? fmt::format("{}: {}", which, reason_of(error))
                        : fmt::format("{}: type {}", which, shown_word(attachment.type)));
      hash(attachment.path);
      continue;
    }
    const ImageBook::Image& image = book_.look(bytes, {data_set_, index}, decode_options(attachment.type, rules_.loaders, nullptr));
    hash({reinterpret_cast<const char*>(&image.content), sizeof image.content});
    if (!image.facts.problem.empty()) {
      tell(facts, Finding::kUndecodableImage, fmt::format("{}: {}", which, image.facts.problem));
      continue;
    }
    facts.images.push_back(&image);
    const auto shorter = std::min(image.facts.width, image.facts.height), longer = std::max(image.facts.width, image.facts.height);
    const std::string size = fmt::format("{}: {} x {}", which, image.facts.width, image.facts.height);
    if (shorter < kTinySide) tell(facts, Finding::kTinyImage, size);
    if (static_cast<double>(longer) > kLongRatio * static_cast<double>(shorter)) tell(facts, Finding::kLongImage, size);
    if (image.facts.is_flat)
      tell(facts, Finding::kFlatImage, image.facts.is_sixteen_bit_grey ? which + ": 16-bit grey, by its high byte" : which);
  }
  const std::string digits = content.finish();
  std::from_chars(digits.data(), digits.data() + 16, facts.content, 16);
}

}  // namespace multimeditron
