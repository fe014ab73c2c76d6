#pragma once

#include <string>
#include <vector>

namespace multimeditron {

/// Roles of the chat formats that exist.
const std::vector<std::string>& known_roles();

/// A word of the data (a role, a type) as it may stand in messages and tables: anything but a plain one may be text of a patient in the
/// wrong column, and is not shown.
std::string shown_word(const std::string& word);

}  // namespace multimeditron
