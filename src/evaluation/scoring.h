#pragma once

#include <string>
#include <string_view>

namespace multimeditron {

/// Without white space at both ends: what Unicode calls so, as Python's str.strip.
std::string_view stripped(std::string_view text);

/// What exact_match() compares: white space at both ends removed, then one full stop at the end, then white space there again; letters in
/// lower case (Unicode's one-to-one mapping). Nothing else: inner blanks, commas and articles count.
std::string normalised_answer(std::string_view text);

/// 1 where answer and reference are the same after normalised_answer() and not empty, else 0.
double exact_match(std::string_view answer, std::string_view reference);

/// A question whose reference is "yes" or "no" after normalised_answer(); all others are open.
bool is_yes_no(std::string_view reference);

}  // namespace multimeditron
