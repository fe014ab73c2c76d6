#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"

namespace multimeditron {

/// The objects of a JSON Lines text. A line that is no JSON object is passed over: a run that is being written, or was killed, ends in one.
std::vector<Json> json_lines(std::string_view text);

}  // namespace multimeditron
