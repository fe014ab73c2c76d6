#pragma once

#include <string_view>

#include "base/json.h"
#include "data/dataset.h"

namespace multimeditron {

/// Whether a JSON row's key is one that a row is made of.
bool is_json_row_key(std::string_view key);

/// A row's text as an object with at least one of the known keys: what makes a file of rows. Throws UserError without a place; no message
/// holds text of the row.
Json parse_row_object(std::string_view text);

/// The row that an object describes. `modalities`, or where there are none the images of `image` or `images`, are paths. Throws UserError.
Row row_of_json(const Json& object);

}  // namespace multimeditron
