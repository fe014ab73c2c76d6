#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace multimeditron {

/// The gate's class of each expert, so that an expert gets the weight of the class that bears its name. In this order: the class named in
/// `by_hand` for it; the class of the expert's own name; the one whose last path component is the name's. One expert and one class left
/// over belong together; a gate without names, or none of whose names is an expert's, is matched by index where the numbers agree; both
/// with a warning. Throws UserError, naming `where`, for what stays without a class.
std::vector<int64_t> match_gate_classes(const std::vector<std::string>& experts, const std::vector<std::string>& class_names,
                                        int64_t num_classes, const std::vector<std::string>& by_hand, const std::string& where);

}  // namespace multimeditron
