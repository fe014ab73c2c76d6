#pragma once

#include <functional>
#include <string>

#include "base/json.h"
#include "doctor/examine.h"

namespace multimeditron {

/// So many pairs of a kind are listed; all are counted.
inline constexpr size_t kListedPairs = 1000;

/// "data/train-00003.arrow, row 1842", for a row of the examined data sets.
using NameOfPlace = std::function<std::string(RowPlace)>;

/// `data_sets`, `duplicates` and `contamination` of what `check --json` prints (docs/check.md): numbers and places, no text of a row.
Json to_json(const Examination& examination, const NameOfPlace& name_of);

/// Whether something was found for which the exit code is 2. `strict`: contamination counts.
bool has_failed(const Examination& examination, bool strict);

}  // namespace multimeditron
