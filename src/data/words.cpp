#include "data/words.h"

#include <algorithm>
#include <cctype>

namespace multimeditron {

const std::vector<std::string>& known_roles() {
  static const std::vector<std::string> roles = {"system", "developer", "user", "assistant", "tool", "function", "ipython"};
  return roles;
}

std::string shown_word(const std::string& word) {
  const bool is_plain = !word.empty() && word.size() <= 20 &&
                        std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isalpha(c) != 0 || c == '_' || c == '-'; });
  return is_plain ? word : "(no plain word)";
}

}  // namespace multimeditron
