#include "text/bridge.h"

namespace multimeditron::bridge {

void check(int32_t code) {
  if (code == 0) return;
  mm_string message;
  mm_last_error(&message);
  if (code == 1) throw Failure{take(message)};
  throw Panic("tokenizer library: " + take(message));
}

std::string take(mm_string string) {
  std::string text(string.data, string.size);
  mm_string_free(string);
  return text;
}

}  // namespace multimeditron::bridge
