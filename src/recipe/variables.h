#pragma once

#include <string>
#include <vector>

namespace multimeditron {

/// `text` with $NAME and ${NAME} replaced from the environment; `$$` is one dollar, and a dollar that starts no name stays. The names of
/// variables that are not set are added to `unset`. What a variable holds is not expanded again.
std::string expand_variables(const std::string& text, std::vector<std::string>& unset);

}  // namespace multimeditron
