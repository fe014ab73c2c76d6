#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "recipe/recipe.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// What the label rules need to know of how a chat template writes turns. Found once, before any data is read.
struct ChatFormat {
  /// Turns that the rule `original` does not learn: from one of the openings up to and including the end, all as token ids.
  struct MaskedTurns {
    std::vector<std::vector<int64_t>> openings;
    std::vector<int64_t> end;
  };

  std::vector<MaskedTurns> masked_turns;  ///< rule `original`
  std::optional<UserError>
      mismatch;  ///< rule `original`: the template does not write the declared turns, so no conversation can be labelled
  std::vector<std::string> end_tags;  ///< rule `assistant`: the tokens, one of which closes an answer; none where the template closes none
  std::string answer_lead;  ///< rule `assistant`: blanks that stand before an answer but not in the generation prompt: the model's to write
};

/// The format of `tokenizer`'s template. `type` says whose delimiters it has; kAuto leaves that to be found, and needs none of the known
/// ones for the rule `assistant`. Empty where the tokenizer has no chat template. Throws UserError where the tokenizer lacks the delimiters
/// of `type`, or none are known that the rule `original` could mask. Where it has them and the template does not write them, plain texts
/// can still be learnt: see `mismatch`.
ChatFormat find_chat_format(const Tokenizer& tokenizer, TokenizerType type, LabelMask mask, const std::string& today);

/// The tags (<|user|>, [INST], <<SYS>>) that the chat template writes around turns, whether they are tokens or plain text.
std::vector<std::string> chat_tags(const Tokenizer& tokenizer);

}  // namespace multimeditron
