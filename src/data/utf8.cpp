#include "data/utf8.h"

#include <arrow/util/utf8.h>

#include <mutex>

#include "base/error.h"

namespace multimeditron {

bool is_utf8(std::string_view text) {
  static std::once_flag ready;
  std::call_once(ready, arrow::util::InitializeUTF8);
  return arrow::util::ValidateUTF8(text);
}

void refuse_utf16(std::string_view text) {
  const bool has_mark = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  if (!has_mark && (text.size() < 2 || (text[0] == '\0') == (text[1] == '\0'))) return;
  throw UserError("a text file is not UTF-8", {.found = "UTF-16", .fix = "write it as UTF-8: `iconv -f UTF-16 -t UTF-8 OLD > NEW`"});
}

}  // namespace multimeditron
