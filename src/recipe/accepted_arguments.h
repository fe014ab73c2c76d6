#pragma once

#include <span>
#include <string>
#include <vector>

#include "recipe/node.h"
#include "recipe/reader.h"

namespace multimeditron {

/// Keys of Hugging Face's TrainingArguments (transformers 4.57 to 5.17, and a few older names) that have no meaning here.
std::span<const char* const> accepted_argument_names();

/// Takes such a key: a note, or a warning where its value would change the result in the original. False: no key of TrainingArguments.
bool accept_argument(const Node::Entry& entry, const std::string& path, Reader& reader);

/// Services that `report_to` may name.
const std::vector<std::string>& reporting_services();

}  // namespace multimeditron
