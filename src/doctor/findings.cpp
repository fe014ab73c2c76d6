#include "doctor/findings.h"

#include <algorithm>

namespace multimeditron {
namespace {

constexpr std::array<FindingInfo, kNumFindings> kInfo = {{
    {"unreadable_row", "that cannot be read", true, "mend the row, or leave it out"},
    {"no_content", "without a text or a conversation", true, "give each row exactly one of `text` and `conversations`"},
    {"two_contents", "with both a text and a conversation", true, "give each row exactly one of `text` and `conversations`"},
    {"not_utf8", "whose text is not UTF-8", true, "convert the text to UTF-8"},
    {"unknown_roles", "whose roles the prompt does not know, so that no answer is found", true,
     "name the roles system, user and assistant"},
    {"no_answer", "without an assistant turn", true, "give each conversation an answer to learn, or leave it out"},
    {"refused_text", "that the tokenizer or its chat template refuses", true, "`multimeditron inspect --index` shows why"},
    {"too_long", "that are too long even after truncation", true, "raise `max_sequence_length`, or shorten the first question and answer"},
    {"too_long_for_pack", "that are longer than a pack", true, "raise `max_length`, or set `truncation: true`"},
    {"placeholders", "whose attachment tokens and images differ in number", true, "put one attachment token into the text for each image"},
    {"no_loader", "with an attachment that no loader takes", true, "add an entry to `loaders`"},
    {"missing_image", "whose image file is missing", true,
     "copy it there, or name the folder of the paths: `base_path` of an `fs-image` loader, or `--base-path`"},
    {"undecodable_image", "whose image cannot be decoded", true, "copy or convert the image, or leave the row out"},
    {"no_image", "without an image", true, "leave them out"},
    {"num_images", "without exactly one image", true, "give each row one image and its caption"},
    {"no_caption", "without a caption", true, "give each row a `text`, or a conversation with an answer"},
    {"odd_role", "with a role that the prompt does not know: what it says may be learnt as if it were an answer", false,
     "name the roles system, user and assistant"},
    {"empty_turn", "with a turn that says nothing", false, "leave the turn out"},
    {"nothing_learnt", "without a token to learn", false, "look at one with `multimeditron inspect`"},
    {"truncated", "that lose something to truncation", false, "raise `max_sequence_length`"},
    {"tiny_image", "with an image of less than 32 pixels on a side", false, "look whether it is a thumbnail by mistake"},
    {"long_image", "with an image more than four times as long as wide", false, "cut it into parts: the encoder sees a square of it"},
    {"flat_image", "with an image of a single tone", false,
     "look whether it is an export that failed; of 16-bit grey, `window: minmax` or `percentile` shows all of its range"},
}};

}  // namespace

const FindingInfo& info(Finding finding) {
  return kInfo[static_cast<size_t>(finding)];
}

std::string reason_of(const UserError& error) {
  const std::string& found = error.details().found;
  return error.message() + (found.empty() ? "" : ": ") + found.substr(0, found.find('\n'));
}

void FindingTally::add(int64_t row, std::string detail) {
  ++rows;
  const auto place = std::upper_bound(first.begin(), first.end(), row, [](int64_t value, const Place& each) { return value < each.row; });
  if (place == first.end() && first.size() == kShown) return;
  first.insert(place, {row, std::move(detail)});
  if (first.size() > kShown) first.pop_back();
}

void FindingTally::add(const FindingTally& other) {
  const int64_t sum = rows + other.rows;
  for (const Place& place : other.first) add(place.row, place.detail);
  rows = sum;
}

}  // namespace multimeditron
