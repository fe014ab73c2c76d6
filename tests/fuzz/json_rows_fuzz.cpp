#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/csv.h"
#include "data/json_rows.h"

/// A row of JSON lines, and the records of a CSV text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    multimeditron::row_of_json(multimeditron::parse_row_object(text));
  } catch (const multimeditron::UserError&) {
  }
  try {
    multimeditron::CsvReader reader(text, size % 2 == 0 ? ',' : '\t');
    std::vector<std::string> fields;
    while (reader.next(fields)) {
    }
  } catch (const multimeditron::UserError&) {
  }
  return 0;
}
