#include "data/utf8.h"

#include <arrow/util/utf8.h>

#include <mutex>

namespace multimeditron {

bool is_utf8(std::string_view text) {
  static std::once_flag ready;
  std::call_once(ready, arrow::util::InitializeUTF8);
  return arrow::util::ValidateUTF8(text);
}

}  // namespace multimeditron
