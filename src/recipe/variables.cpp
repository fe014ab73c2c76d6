#include "recipe/variables.h"

#include <cstdlib>

namespace multimeditron {
namespace {

bool starts_name(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool continues_name(char c) {
  return starts_name(c) || (c >= '0' && c <= '9');
}

}  // namespace

std::string expand_variables(const std::string& text, std::vector<std::string>& unset) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '$' || i + 1 == text.size()) {
      result += text[i++];
      continue;
    }
    if (text[i + 1] == '$') {
      result += '$';
      i += 2;
      continue;
    }
    const bool braced = text[i + 1] == '{';
    const size_t begin = i + 1 + (braced ? 1 : 0);
    size_t end = begin;
    if (end < text.size() && starts_name(text[end])) {
      while (end < text.size() && continues_name(text[end])) ++end;
    }
    if (end == begin || (braced && (end == text.size() || text[end] != '}'))) {
      result += text[i++];
      continue;
    }
    const std::string name = text.substr(begin, end - begin);
    if (const char* value = std::getenv(name.c_str())) {
      result += value;
    } else {
      unset.push_back(name);
    }
    i = end + (braced ? 1 : 0);
  }
  return result;
}

}  // namespace multimeditron
