#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "doctor/examine.h"

namespace multimeditron {

/// What of the data itself the page shows.
struct CheckPageOptions {
  bool has_images = true;    ///< small pictures of images that occur twice or in training and test
  bool has_samples = false;  ///< texts and images of the rows that are listed
};

/// The page of `check`, self-contained: `report` (what --json prints) with pictures and samples taken from `data_sets` again. Absolute
/// paths are shortened as in report.html.
std::string check_page(Json report, const std::string& title, const Examination& examination, std::span<const DataSetToExamine> data_sets,
                       const CheckPageOptions& options);

}  // namespace multimeditron
