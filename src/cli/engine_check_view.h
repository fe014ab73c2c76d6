#pragma once

#include <string>

#include "doctor/examine.h"
#include "doctor/summary.h"

namespace multimeditron {

/// What `check` prints of one data set: a title and aligned lines. Places, but no text of a row.
std::string view_of(const DataSetReport& report, uint32_t number, const NameOfPlace& name_of, bool colour, int width);

/// The same of what concerns several data sets: repeated rows, and test data in training. Empty where there is nothing to tell.
std::string view_of_duplicates(const Examination& examination, const NameOfPlace& name_of, bool colour, int width);
std::string view_of_contamination(const Examination& examination, const NameOfPlace& name_of, bool colour, int width);

}  // namespace multimeditron
