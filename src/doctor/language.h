#pragma once

#include <string>
#include <string_view>

namespace multimeditron {

/// A guess at a text's language, made for tables and not for decisions: the script that most of its letters belong to ("Chinese",
/// "Japanese" where kana occur, "Korean", "Arabic", "Hebrew", "Greek", "Devanagari", "Thai", "Cyrillic"); of Latin letters the one of
/// English, French, German, Spanish, Italian, Portuguese and Dutch whose commonest words occur most often, at least twice and more often
/// than those of every other, else "Latin letters". "none" for a text without letters.
std::string guess_language(std::string_view text);

}  // namespace multimeditron
